"""One module per framework, each with `build_wsgi(workload)` or `build_asgi(workload)`, or both.

A function takes a workload's name (see `benchmarks.workloads`) and returns the application. Each uses what
its framework's documentation shows, and of two documented ways the faster. `build_def_asgi` and
`build_async_wsgi` serve plain text with a view of the protocol's other colour.
"""
