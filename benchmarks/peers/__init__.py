"""Other ways to the same end, each in its own virtual environment; `benchmarks.contenders` says what each of them promises."""
