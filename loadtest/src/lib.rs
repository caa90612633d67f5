//! Open-loop load generator and capacity planner.
