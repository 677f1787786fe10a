//! The codecs, and what a shell does with each.

use std::path::Path;

use scratchpack::Compression;

use crate::support::tools::quoted;

pub(crate) struct Codec {
    pub(crate) name: &'static str,
    /// Of the command.
    pub(crate) option: &'static str,
    pub(crate) compression: Compression,
    /// What a shell's line needs beside tar and sha256sum.
    pub(crate) tools: &'static [&'static str],
    /// What compresses in the shell's line, on so many threads.
    compressor: Option<fn(usize) -> String>,
}

pub(crate) const CODECS: [Codec; 3] = [
    Codec { name: "none", option: "none", compression: Compression::None, tools: &[], compressor: None },
    Codec {
        name: "zstd",
        option: "zstd:3",
        compression: Compression::ZSTD,
        tools: &["zstd"],
        compressor: Some(|threads| format!("zstd -3 -T{threads}")),
    },
    Codec {
        name: "gzip",
        option: "gzip:6",
        compression: Compression::GZIP,
        tools: &["pigz"],
        compressor: Some(|threads| format!("pigz -6 -p{threads}")),
    },
];

/// A line of the shell.
pub(crate) struct Line {
    pub(crate) shown: String,
    pub(crate) text: String,
}

/// Owners, times and order as an image has them, so that a line run twice gives the same.
const TAR: &str = "tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - .";

impl Codec {
    /// From the least that could be called the same work to all of it: the digest of what is made; a file as well; the
    /// digest of the tar inside, which every image needs, as well; and the file synced.
    pub(crate) fn lines(&self, rootfs: &Path, file: &Path) -> Vec<Line> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let compressor = self.compressor.map(|compressor| compressor(threads));
        let compress = compressor.map(|compressor| format!("| {compressor} ")).unwrap_or_default();
        let mut lines = vec![
            format!("tar {compress}| sha256sum"),
            format!("tar {compress}| tee FILE | sha256sum"),
            format!("tar {compress}| tee FILE | sha256sum && sync FILE"),
        ];
        if !compress.is_empty() {
            lines.push(format!("tar | tee >(sha256sum) {compress}| tee FILE | sha256sum"));
            lines.push(format!("tar | tee >(sha256sum) {compress}| tee FILE | sha256sum && sync FILE"));
        }
        let typed = |line: &String| {
            // What the inner one says must not go into the pipe.
            let line = line.replace("tar ", &format!("{TAR} ")).replace(">(sha256sum)", ">(sha256sum >&2)");
            format!("exec 2>/dev/null; cd {} && {}", quoted(rootfs), line.replace("FILE", &quoted(file)))
        };
        lines.iter().map(|line| Line { shown: line.clone(), text: typed(line) }).collect()
    }
}
