package discount

import "testing"

func TestApply(t *testing.T) {
	for _, percent := range []int{0, 10, 100} {
		if got, want := Apply(200, percent), 200-2*percent; got != want {
			t.Errorf("Apply(200, %d) is %d, not %d", percent, got, want)
		}
	}
}
