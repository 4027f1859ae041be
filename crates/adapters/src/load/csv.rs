//! Load from a CSV file in the long format `unique_id,ds,y`.
