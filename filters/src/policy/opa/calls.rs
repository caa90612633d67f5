//! How deep rules call each other. An evaluation recurses as deep, and a stack that overflows ends the process.

use std::collections::BTreeMap;

use super::walk::RuleRefs;

/// Rules within rules.
const DEPTH_MAX: usize = 32;
/// Problems that are told.
const PROBLEMS_MAX: usize = 20;

#[derive(Clone, Copy)]
enum State {
    Entered,
    /// So many rules deep.
    Done(usize),
}

/// Rules that refer to themselves, or to rules that refer to rules too deep.
pub(super) fn check(rules: &BTreeMap<Vec<String>, RuleRefs>) -> Vec<String> {
    let paths: Vec<&Vec<String>> = rules.keys().collect();
    let edges: Vec<Vec<usize>> = rules.values().map(|rule| edges(&paths, rule)).collect();
    let mut states: Vec<Option<State>> = vec![None; paths.len()];
    let mut problems = Vec::new();
    for start in 0..paths.len() {
        visit(start, &edges, &mut states, |at, problem| {
            if let (Some(path), Some(rule)) = (paths.get(at), rules.values().nth(at)) {
                problems.push(format!("{}: `{}` {problem}", rule.at, path.join(".")));
            }
        });
        if problems.len() >= PROBLEMS_MAX {
            break;
        }
    }
    problems
}

/// The rules that the paths may stand for: those above and those below.
fn edges(paths: &[&Vec<String>], rule: &RuleRefs) -> Vec<usize> {
    let mut found = Vec::new();
    for path in &rule.refers_to {
        for length in 1..path.len() {
            if let Ok(at) =
                paths.binary_search_by(|own| own.as_slice().cmp(path.get(..length).unwrap_or_default()))
            {
                found.push(at);
            }
        }
        let from = paths.partition_point(|own| own.as_slice() < path.as_slice());
        let below = paths.iter().skip(from).take_while(|own| own.starts_with(path));
        found.extend(below.enumerate().map(|(offset, _)| from + offset));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Depth first, without recursion.
fn visit(
    start: usize,
    edges: &[Vec<usize>],
    states: &mut [Option<State>],
    mut problem: impl FnMut(usize, &'static str),
) {
    let mut stack: Vec<(usize, usize, usize)> = vec![(start, 0, 0)];
    if matches!(states.get(start), Some(Some(_))) {
        return;
    }
    set(states, start, State::Entered);
    while let Some((at, next, deepest)) = stack.last_mut() {
        let Some(to) = edges.get(*at).and_then(|edges| edges.get(*next)).copied() else {
            let (at, depth) = (*at, *deepest + 1);
            if depth == DEPTH_MAX + 1 {
                problem(at, "calls rules that call rules, more than 32 deep");
            }
            set(states, at, State::Done(depth));
            stack.pop();
            if let Some((_, _, deepest)) = stack.last_mut() {
                *deepest = (*deepest).max(depth);
            }
            continue;
        };
        *next += 1;
        match states.get(to).copied().flatten() {
            Some(State::Done(depth)) => *deepest = (*deepest).max(depth),
            Some(State::Entered) => problem(to, "refers to itself"),
            None => {
                set(states, to, State::Entered);
                stack.push((to, 0, 0));
            }
        }
    }
}

fn set(states: &mut [Option<State>], at: usize, state: State) {
    if let Some(slot) = states.get_mut(at) {
        *slot = Some(state);
    }
}
