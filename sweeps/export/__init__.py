"""A sweep as Arrow tables: what pages, Parquet files and other programs read."""
