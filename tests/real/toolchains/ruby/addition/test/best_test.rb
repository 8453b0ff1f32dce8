# frozen_string_literal: true

require "test_helper"
require "best"

class BestTest < Minitest::Test
  def test_largest_discount_counts
    assert_equal 20, Best.of(5, 20, 10)
    assert_equal 0, Best.of
  end
end
