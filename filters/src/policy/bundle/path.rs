//! Names of entries in an archive: what is accepted, in one normal form.

use super::DEPTH_MAX;

/// Bytes of a path.
const PATH_BYTES_MAX: usize = 1024;

/// What an entry's name stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EntryPath {
    /// A path in the bundle.
    Inside(String),
    /// The bundle's own root, or something below a name that begins with a dot.
    Skipped,
}

/// Reads the name of an entry. One leading `./` or `/` is taken off: `tar -C dir .` writes the first, `opa build` the second, and
/// nothing is ever written to a disk under that name.
pub(super) fn normal(name: &[u8]) -> Result<EntryPath, &'static str> {
    if name.len() > PATH_BYTES_MAX {
        return Err("its name is too long");
    }
    let name = std::str::from_utf8(name).map_err(|_| "its name is not UTF-8")?;
    if name.chars().any(|character| character.is_control() || character == '\\') {
        return Err("its name has a control character or a backslash");
    }
    let name = name.strip_prefix("./").or_else(|| name.strip_prefix('/')).unwrap_or(name);
    let name = name.strip_suffix('/').unwrap_or(name);
    if name.is_empty() || name == "." {
        return Ok(EntryPath::Skipped);
    }
    let mut depth = 0;
    let mut hidden = false;
    for part in name.split('/') {
        match part {
            ".." => return Err("its name leads outside the bundle"),
            "" | "." => return Err("its name has an empty part"),
            part => hidden |= part.starts_with('.'),
        }
        depth += 1;
    }
    if depth > DEPTH_MAX + 1 {
        return Err("folders are nested too deep");
    }
    Ok(if hidden { EntryPath::Skipped } else { EntryPath::Inside(name.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        let inside = |name: &str| EntryPath::Inside(name.to_owned());
        for (name, expected) in [
            ("a.cedar", Ok(inside("a.cedar"))),
            ("./a/b.cedar", Ok(inside("a/b.cedar"))),
            ("/a/b.cedar", Ok(inside("a/b.cedar"))),
            ("a/", Ok(inside("a"))),
            ("./", Ok(EntryPath::Skipped)),
            ("/", Ok(EntryPath::Skipped)),
            (".", Ok(EntryPath::Skipped)),
            (".hidden", Ok(EntryPath::Skipped)),
            ("a/.git/x", Ok(EntryPath::Skipped)),
            ("..", Err("its name leads outside the bundle")),
            ("a/../../b", Err("its name leads outside the bundle")),
            ("./../b", Err("its name leads outside the bundle")),
            ("/../b", Err("its name leads outside the bundle")),
            ("a//b", Err("its name has an empty part")),
            ("//a", Err("its name has an empty part")),
            ("a/./b", Err("its name has an empty part")),
            ("a\\b", Err("its name has a control character or a backslash")),
            ("a\0b", Err("its name has a control character or a backslash")),
            ("1/2/3/4/5/6/7/8/9", Ok(inside("1/2/3/4/5/6/7/8/9"))),
            ("1/2/3/4/5/6/7/8/9/a", Err("folders are nested too deep")),
        ] {
            assert_eq!(normal(name.as_bytes()), expected, "{name:?}");
        }
        assert_eq!(normal(b"\xff"), Err("its name is not UTF-8"));
        assert_eq!(normal(&[b'a'; 1025]), Err("its name is too long"));
    }
}
