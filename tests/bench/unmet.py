"""Why a bar is not met yet. The table of man/guide/performance.md shows the reason as long as the bar is not met."""

#: The name of a metric, and what the bar is about ("wall" or "cpu"): the reason, as the end of a sentence.
UNMET = {
}
