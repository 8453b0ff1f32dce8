package discount

import "testing"

func TestBest(t *testing.T) {
	if got := Best(5, 20, 10); got != 20 {
		t.Errorf("Best(5, 20, 10) is %d, not 20", got)
	}
	if got := Best(); got != 0 {
		t.Errorf("Best() is %d, not 0", got)
	}
}
