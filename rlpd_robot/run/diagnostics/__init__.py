"""Why a run does not learn: figures taken beside the learning, each with its bounds, a sentence and a suggestion."""
