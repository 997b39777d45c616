"""A model over millions of inputs: tables in, tables out, at constant memory, cut into shards that start again where they ended.

files.py     Parquet by row groups, CSV, JSON lines, texts and PGN by blocks; output that appears whole
shards.py    which rows belong to a shard: whole series by a stable hash of their key, other rows by block
work.py      one shard; all shards in several processes
frames.py    the same function on a data frame of pandas, Dask, Ray or Spark, through fugue
"""
