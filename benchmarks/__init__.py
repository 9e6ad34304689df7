"""Speed and size, measured on the machine at hand; not part of the tests, because a busy machine proves nothing.

    python -m benchmarks.run            everything, as a table (make bench)
    python -m benchmarks.main_job       exports to work orders: seconds and memory
    python -m benchmarks.service        scores over HTTP
    python -m benchmarks.startup        `steadyline --help`
    python -m benchmarks.kills          loads that die by kill -9: all or nothing, and completed afterwards
    python -m benchmarks.loading        readings from CSV and Parquet into the store, beside pandas, DuckDB, Polars
"""
