// Package discount reduces prices.
package discount

// Apply returns the price, in cents, reduced by a percentage.
func Apply(price, percent int) int {
	return price - price*percent/100
}
