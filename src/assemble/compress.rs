//! Compresses one piece of a layer at a time, each on its own.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::str::FromStr;

use libdeflater::{CompressionLvl, Compressor as Deflater};

/// How a layer is compressed.
///
/// `gzip` loads everywhere. `zstd` is faster and smaller; Docker 20.10 and older, and umoci 0.4, cannot read it. `none`
/// is the fastest, and loads everywhere too. The bytes of the tar inside, and so the diff_id, are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// No compression.
    None,
    /// gzip members (RFC 1952), with a level from 1, fast, to 9, small.
    Gzip(u8),
    /// Zstandard frames (RFC 8878), with a level from 1, fast, to 22, small.
    Zstd(u8),
}

impl Compression {
    /// gzip at its usual level, 6.
    pub const GZIP: Compression = Compression::Gzip(6);
    /// Zstandard at its usual level, 3.
    pub const ZSTD: Compression = Compression::Zstd(3);

    /// The media type of such a layer (OCI image spec, layer).
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Compression::None => "application/vnd.oci.image.layer.v1.tar",
            Compression::Gzip(_) => "application/vnd.oci.image.layer.v1.tar+gzip",
            Compression::Zstd(_) => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    pub(crate) fn check(self) -> Result<(), String> {
        match self {
            Compression::Gzip(level) if !(1..=9).contains(&level) => {
                Err(format!("gzip has no level {level}; it has 1 to 9"))
            }
            Compression::Zstd(level) if !(1..=22).contains(&level) => {
                Err(format!("zstd has no level {level}; it has 1 to 22"))
            }
            _ => Ok(()),
        }
    }

    /// A compressor of its own for each thread; `None` where nothing is to be done.
    pub(crate) fn compressor(self) -> io::Result<Option<Compressor>> {
        Ok(match self {
            #[cfg(test)]
            Compression::Gzip(PANICS) => Some(Compressor::Panics),
            Compression::None => None,
            Compression::Gzip(level) => {
                let level = CompressionLvl::new(i32::from(level));
                let level = level.map_err(|_| io::Error::other("libdeflate refused the level"))?;
                Some(Compressor::Gzip(Deflater::new(level)))
            }
            Compression::Zstd(level) => Some(Compressor::Zstd(zstd::bulk::Compressor::new(i32::from(level))?)),
        })
    }
}

/// gzip, because it loads everywhere.
impl Default for Compression {
    fn default() -> Self {
        Compression::GZIP
    }
}

/// `gzip`, `gzip:9`, `zstd`, `zstd:19`, `none`
impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let level = |default| match level {
            Some(level) => level.parse().map_err(|_| format!("`{level}` is no level")),
            None => Ok(default),
        };
        let compression = match name {
            "none" if text == "none" => Compression::None,
            "gzip" => Compression::Gzip(level(6)?),
            "zstd" => Compression::Zstd(level(3)?),
            _ => return Err(format!("`{text}` is none of gzip[:1-9], zstd[:1-22] and none")),
        };
        compression.check().map(|()| compression)
    }
}

impl Display for Compression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Compression::None => f.write_str("none"),
            Compression::Gzip(level) => write!(f, "gzip:{level}"),
            Compression::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}

/// Makes one gzip member or one zstd frame of each piece. Concatenated, they are a stream of the whole.
pub(crate) enum Compressor {
    Gzip(Deflater),
    Zstd(zstd::bulk::Compressor<'static>),
    #[cfg(test)]
    Panics,
}

/// A level that no caller can ask for.
#[cfg(test)]
pub(crate) const PANICS: u8 = u8::MAX;

impl Compressor {
    /// Compresses `piece` into `out`, which has room for a little more; answers how many bytes of it are used.
    pub(crate) fn compress(&mut self, piece: &[u8], out: &mut [u8]) -> io::Result<usize> {
        match self {
            Compressor::Gzip(deflater) => {
                deflater.gzip_compress(piece, out).map_err(|_| io::Error::other("libdeflate ran out of its own bound"))
            }
            Compressor::Zstd(compressor) => compressor.compress_to_buffer(piece, out),
            #[cfg(test)]
            Compressor::Panics => panic!("a codec that panics"),
        }
    }

    /// What the codec makes of a sample, and its version. Another release of it may make other bytes of the same input,
    /// and libdeflate does not say which release it is.
    pub(crate) fn fingerprint(&mut self) -> io::Result<Vec<u8>> {
        let mut seed = 1u32;
        let sample: Vec<u8> = (0..SAMPLE)
            .map(|place| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Runs that come again, and noise between them.
                if seed >> 30 == 0 { (seed >> 24) as u8 } else { (place % 251) as u8 }
            })
            .collect();
        let mut out = vec![0; 2 * SAMPLE];
        let size = self.compress(&sample, &mut out)?;
        out.truncate(size);
        if let Compressor::Zstd(_) = self {
            out.extend_from_slice(&zstd::zstd_safe::version_number().to_le_bytes());
        }
        Ok(out)
    }
}

const SAMPLE: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::Compression;

    #[test]
    fn levels_are_read_and_checked() {
        assert_eq!("zstd".parse(), Ok(Compression::ZSTD));
        assert_eq!("gzip:9".parse(), Ok(Compression::Gzip(9)));
        for text in ["gzip:0", "gzip:10", "zstd:23", "none:1", "gzip:", "xz", ""] {
            assert!(text.parse::<Compression>().is_err(), "{text}");
        }
    }
}
