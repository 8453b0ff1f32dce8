# frozen_string_literal: true

# Chooses between discounts.
module Best
  def self.of(*discounts)
    discounts.max || 0
  end
end
