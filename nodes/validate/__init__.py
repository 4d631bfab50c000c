"""How true the numbers are: nanocrystals of known truth, measured by the very pipeline that measures real ones."""
