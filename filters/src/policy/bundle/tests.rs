//! What bundles load, and what does not.

use std::fs;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use super::*;

mod registry;
mod token;

use std::path::Path;

fn wants(path: &str) -> bool {
    path.ends_with(".cedar")
}

fn load_in(base: &Path, written: &str) -> Result<Bundle, BundleError> {
    let fetched = FetchedBundles::default();
    Bundle::load(&BundleRequest {
        base: &Base::trusted(base),
        written,
        wants: &wants,
        file_bytes_max: 100,
        fetched: &fetched,
    })
}

fn unpack(packed: &[u8]) -> Result<Bundle, BundleError> {
    let fetched = FetchedBundles::default();
    let (base, written) = (Base::trusted("."), "a.tar.gz");
    let request =
        BundleRequest { base: &base, written, wants: &wants, file_bytes_max: 100, fetched: &fetched };
    archive::read(&request, packed)
}

/// An entry with any name: the library's own setters refuse what is tested here.
fn entry(tar: &mut Builder<Vec<u8>>, name: &str, kind: EntryType, contents: &[u8]) {
    let mut header = Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(contents.len() as u64);
    header.set_mode(0o644);
    if kind.is_symlink() || kind.is_hard_link() {
        header.set_link_name("/etc/passwd").unwrap();
    }
    header.set_cksum();
    tar.append(&header, contents).unwrap();
}

fn tar(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, kind, contents) in entries {
        entry(&mut tar, name, *kind, contents);
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn files(entries: &[(&str, &[u8])]) -> Vec<u8> {
    tar(&entries.iter().map(|(name, contents)| (*name, EntryType::Regular, *contents)).collect::<Vec<_>>())
}

fn refuse(packed: &[u8], expected: &str) {
    let error = unpack(packed).unwrap_err().to_string();
    assert!(error.contains(expected), "expected: {expected}\nfound:    {error}");
}

#[test]
fn the_same_files_have_the_same_digest_whichever_way_they_came() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("p/sub")).unwrap();
    fs::write(folder.path().join("p/a.cedar"), "A").unwrap();
    fs::write(folder.path().join("p/sub/b.cedar"), "B").unwrap();
    fs::write(folder.path().join("p/README.md"), "no policy").unwrap();
    fs::write(folder.path().join("p/.hidden.cedar"), "no policy").unwrap();
    let packed = files(&[
        ("./sub/b.cedar", b"B"),
        ("./README.md", b"other words"),
        ("./a.cedar", b"A"),
        ("./.hidden.cedar", b"no policy"),
    ]);
    fs::write(folder.path().join("p.tar.gz"), gzip(&packed)).unwrap();
    let (plain, gz) = (load_in(folder.path(), "p").unwrap(), load_in(folder.path(), "p.tar.gz").unwrap());
    assert_eq!(plain.files, gz.files);
    assert_eq!(plain.digest, gz.digest);
    assert_eq!(plain.digest, unpack(&packed).unwrap().digest, "uncompressed");
    assert_eq!(plain.ignored, ["README.md"]);
    assert_eq!(gz.ignored, ["README.md"]);
    assert_eq!(plain.files.keys().collect::<Vec<_>>(), ["a.cedar", "sub/b.cedar"]);
    let other = unpack(&files(&[("a.cedar", b"AB"), ("sub/b.cedar", b"")])).unwrap();
    assert_ne!(plain.digest, other.digest);
    assert!(plain.digest.to_string().starts_with("sha256:"));
}

#[test]
fn several_members_of_gzip_are_one_archive() {
    let packed = files(&[("a.cedar", b"A"), ("b.cedar", b"B")]);
    let (first, second) = packed.split_at(700);
    let bundle = unpack(&[gzip(first), gzip(second)].concat()).unwrap();
    assert_eq!(bundle.files.len(), 2);
}

#[test]
fn what_leads_elsewhere_is_refused() {
    for name in ["../a.cedar", "a/../../b.cedar", "/../a.cedar", "./../a.cedar"] {
        refuse(&files(&[(name, b"x")]), "its name leads outside the bundle");
    }
    for kind in [EntryType::Symlink, EntryType::Link] {
        refuse(&tar(&[("a.cedar", kind, b"")]), "a.cedar: is a link");
    }
    for kind in [EntryType::Fifo, EntryType::Char, EntryType::Block, EntryType::new(b'V')] {
        refuse(&tar(&[("a.cedar", kind, b"")]), "a.cedar: is neither a file nor a folder");
    }
}

#[test]
fn a_name_stands_for_one_thing() {
    refuse(&files(&[("a.cedar", b"x"), ("a.cedar", b"y")]), "a.cedar: is in the archive twice");
    refuse(&files(&[("a.cedar", b"x"), ("./a.cedar", b"y")]), "a.cedar: is in the archive twice");
    refuse(&files(&[("a.cedar", b"x"), ("/a.cedar", b"y")]), "a.cedar: is in the archive twice");
    refuse(&files(&[("a.cedar", b"x"), ("a.cedar/b.cedar", b"y")]), "is a file elsewhere");
    refuse(&files(&[("a/b.cedar", b"x"), ("a", b"y")]), "a: is a folder elsewhere");
}

#[test]
fn sizes_are_bounded() {
    refuse(&files(&[("a.cedar", &[b'x'; 101])]), "a.cedar: is larger than 100 bytes");
    assert!(unpack(&files(&[("a.md", &[b'x'; 101])])).is_ok(), "what is not wanted is not kept");
    // 600 MiB of zeros in 600 KiB.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let mut header = Header::new_ustar();
    header.set_path("a.md").unwrap();
    header.set_entry_type(EntryType::Regular);
    header.set_size(200 << 20);
    header.set_cksum();
    bomb.write_all(header.as_bytes()).unwrap();
    for _ in 0..200 {
        bomb.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    refuse(&bomb, "it unpacks to more than");
    refuse(&vec![0; usize::try_from(PACKED_BYTES_MAX).unwrap() + 1], "is larger than");
    let many: Vec<_> = (0..=FILES_MAX).map(|at| format!("{at}.md")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
    refuse(&files(&many), "more than 10000 files");
}

#[test]
fn what_is_not_whole_is_refused() {
    let packed = gzip(&files(&[("a.cedar", b"permit")]));
    refuse(&packed[..packed.len() - 12], "is no intact tar archive");
    let mut broken = packed.clone();
    let at = packed.len() - 6;
    broken[at] ^= 1;
    refuse(&broken, "is no intact tar archive");
    refuse(b"", "is an empty archive");
    refuse(&[0; 1024], "is an empty archive");
    refuse(b"permit (principal, action, resource);", "is no intact tar archive");
    let plain = files(&[("a.cedar", b"permit")]);
    refuse(&[plain.as_slice(), b"forbid"].concat(), "has something behind its end");
    refuse(&plain[..600], "is no intact tar archive");
}

#[test]
fn folders_hold_files_of_their_own_only() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("p");
    fs::create_dir_all(inside.join("real")).unwrap();
    fs::write(folder.path().join("secret.cedar"), "x").unwrap();
    fs::write(inside.join("real/a.cedar"), "x").unwrap();
    std::os::unix::fs::symlink("real/a.cedar", inside.join("b.cedar")).unwrap();
    assert_eq!(load_in(folder.path(), "p").unwrap().files.len(), 2);
    std::os::unix::fs::symlink("../secret.cedar", inside.join("c.cedar")).unwrap();
    std::os::unix::fs::symlink("real", inside.join("d")).unwrap();
    fs::write(inside.join("e.cedar"), [b'x'; 101]).unwrap();
    let error = load_in(folder.path(), "p").unwrap_err().to_string();
    assert!(error.contains("c.cedar: the link leads outside the bundle"), "{error}");
    assert!(error.contains("d: a link to a folder is not followed"), "{error}");
    assert!(error.contains("e.cedar: is larger than 100 bytes"), "{error}");
}

#[test]
fn forms_are_told_apart() {
    for (written, form) in [
        ("./policies", BundleForm::Folder),
        ("policies.tar", BundleForm::Folder),
        ("a.tar.gz", BundleForm::Archive),
        ("/srv/a.tgz", BundleForm::Archive),
        ("oci://policies.acme.com/platform-team:1.0", BundleForm::Registry),
        ("https://a/b.tar.gz", BundleForm::Unknown),
        ("OCI://a/b", BundleForm::Unknown),
    ] {
        assert_eq!(BundleForm::of(written), form, "{written}");
    }
    let error = load_in(Path::new("."), "oci://a.b/c").unwrap_err().to_string();
    assert_eq!(error, "`oci://a.b/c` has not been fetched");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = unpack(&bytes);
        let _ = unpack(&gzip(&bytes));
    }

    #[test]
    fn changed_archives_hold_nothing_from_elsewhere(
        at in 0_usize..3000, byte in any::<u8>(), cut in 0_usize..4000,
    ) {
        let mut bytes = files(&[("a/b.cedar", b"permit"), ("c.cedar", &[b'x'; 90]), ("README.md", b"text")]);
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        bytes.truncate(cut);
        if let Ok(bundle) = unpack(&bytes) {
            for (name, contents) in bundle.files {
                prop_assert!(!name.starts_with('/') && !name.split('/').any(|part| part.starts_with('.')));
                prop_assert!(contents.len() <= 100 && wants(&name));
            }
        }
    }
}
