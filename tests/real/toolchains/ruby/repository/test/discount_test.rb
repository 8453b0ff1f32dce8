# frozen_string_literal: true

require "test_helper"

class DiscountTest < Minitest::Test
  def test_ten_percent_off
    assert_equal 180, Discount.apply(200, 10)
  end

  def test_nothing_off
    assert_equal 200, Discount.apply(200, 0)
  end
end
