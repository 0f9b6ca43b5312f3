"""Systems on one machine: `byron up`, `down`, `component` and `infrastructure`."""
