//! The repository's own rules, held by tests: crate edges, file shape, names, words, documentation links, units.
//!
//! Each rule is a pure function from text to findings, and each has a test that shows it finding something. The tests
//! here run them over the tree. A finding names the file, the line and what to do.

#[cfg(test)]
mod deploy;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod files;
#[cfg(test)]
mod links;
#[cfg(test)]
mod source;
#[cfg(test)]
mod tree;
#[cfg(test)]
mod words;
