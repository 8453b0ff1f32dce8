# frozen_string_literal: true

# Reduces prices.
module Discount
  # Returns the price, in cents, reduced by a percentage.
  def self.apply(price, percent)
    price - price * percent / 100
  end
end
