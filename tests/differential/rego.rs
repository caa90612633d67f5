//! `policy.opa` against OPA's own Go library, as PyPI `opa-golib-python-bindings` bundles it.
//!
//! The corpus has OPA's answers, and a test of `mcpg-filters` holds the engine to them. This asks that OPA again, so that the corpus
//! cannot say what OPA does not.

use std::path::Path;
use std::process::Command;

use mcpg_tests::packages;

#[test]
fn the_corpus_has_what_opa_answers() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = here.join("rego/differential.py");
    let folder = packages::build_folder().join("opa");
    let python = packages::python(&here.join("differential"));
    let fetched = python.and_then(|python| {
        packages::program(Command::new(&python).arg(&script).arg("--fetch").arg(&folder))?;
        Ok(python)
    });
    let python = match fetched {
        Ok(python) => python,
        Err(missing) => return packages::skip("rego", &missing),
    };
    let output = Command::new(python).arg(&script).arg(&folder).output().expect("the interpreter starts");
    let said = String::from_utf8_lossy(&output.stdout);
    eprintln!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(" passed, 0 failed"), "nothing was compared: {said}");
}
