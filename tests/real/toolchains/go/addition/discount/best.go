package discount

// Best returns the largest of the discounts that a price gets, 0 without any.
func Best(discounts ...int) int {
	best := 0
	for _, discount := range discounts {
		if discount > best {
			best = discount
		}
	}
	return best
}
