"""Statistics: sums that a site may share, and the estimates made from them."""
