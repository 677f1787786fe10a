//! The version of the architecture that 32-bit ARM code is for, by its build attributes ("Addenda to, and Errata in, the
//! ABI for the Arm Architecture", "Build Attributes").
//!
//! Nothing that a loader reads tells it, only a section header. Whatever is odd tells nothing, and is no error: stripped
//! of it, the program runs as well.

use goblin::elf::header::EM_ARM;

use super::machine::{ByteOrder, Class};
use super::reader::{ReadAt, Reader};
use super::sections;
use super::segments::Segments;

/// The type both of a section and of a segment, for the few linkers that make one (ELF for the Arm Architecture).
const ARM_ATTRIBUTES: u32 = 0x7000_0003;
/// The attributes of the whole file, rather than of a section or a symbol.
const TAG_FILE: u8 = 1;
const TAG_CPU_RAW_NAME: u64 = 4;
const TAG_CPU_NAME: u64 = 5;
const TAG_CPU_ARCH: u64 = 6;
const TAG_COMPATIBILITY: u64 = 32;

/// Bytes of attributes that are looked at. Programs have under 100.
const MAX_ATTRIBUTES: u64 = 65_536;

/// `v5` to `v8`, as an image's configuration has it; `None` where the file does not tell.
pub(super) fn variant<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>, segments: &Segments) -> Option<&'static str> {
    let machine = segments.machine;
    if (machine.code, machine.class, machine.byte_order) != (EM_ARM, Class::Elf32, ByteOrder::Little) {
        return None;
    }
    let (offset, size) = segment(segments).or_else(|| section(reader, segments))?;
    let size = usize::try_from(size.min(MAX_ATTRIBUTES)).ok()?;
    variant_of(cpu_arch(reader.bytes(offset, size, "build attributes").ok()?)?)
}

fn segment(segments: &Segments) -> Option<(u64, u64)> {
    let header = segments.headers.iter().find(|header| header.p_type == ARM_ATTRIBUTES)?;
    Some((header.p_offset, header.p_filesz))
}

fn section<R: ReadAt + ?Sized>(reader: &mut Reader<'_, R>, segments: &Segments) -> Option<(u64, u64)> {
    let headers = sections::headers(reader, segments)?;
    headers.iter().find(|header| header.sh_type == ARM_ATTRIBUTES).map(|header| (header.sh_offset, header.sh_size))
}

/// `Tag_CPU_arch` of the whole file.
fn cpu_arch(section: &[u8]) -> Option<u64> {
    let mut attributes = Attributes(of_file(of_vendor(section.strip_prefix(b"A")?)?)?);
    loop {
        match attributes.number()? {
            TAG_CPU_ARCH => return attributes.number(),
            tag => attributes.skip(tag)?,
        }
    }
}

/// What the ABI itself defines, without the vendor's name: behind a size that counts itself, a name that ends in NUL.
fn of_vendor(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let size = size(rest)?;
        if let Some(found) = rest.get(4..size)?.strip_prefix(b"aeabi\0") {
            return Some(found);
        }
        rest = &rest[size..];
    }
}

/// The attributes of the whole file: behind a tag, and a size that counts both.
fn of_file(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (&tag, behind) = rest.split_first()?;
        let size = size(behind)?;
        let attributes = rest.get(5..size)?;
        if tag == TAG_FILE {
            return Some(attributes);
        }
        rest = &rest[size..];
    }
}

fn size(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk().map(|word| u32::from_le_bytes(*word) as usize)
}

/// Tags and their values, one behind the other.
struct Attributes<'a>(&'a [u8]);

impl Attributes<'_> {
    /// A ULEB128.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS - 7).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn skip(&mut self, tag: u64) -> Option<()> {
        match tag {
            TAG_CPU_RAW_NAME | TAG_CPU_NAME => self.skip_string(),
            TAG_COMPATIBILITY => self.number().and_then(|_| self.skip_string()),
            // Above 32, so that old readers can pass over new tags, odd ones have strings.
            33.. if tag % 2 == 1 => self.skip_string(),
            _ => self.number().map(|_| ()),
        }
    }

    fn skip_string(&mut self) -> Option<()> {
        let end = memchr::memchr(0, self.0)?;
        self.0 = &self.0[end + 1..];
        Some(())
    }
}

/// The values of `Tag_CPU_arch`; the names are those of an image index (OCI image spec, "Platform Variants").
fn variant_of(cpu_arch: u64) -> Option<&'static str> {
    Some(match cpu_arch {
        // Pre-v4, v4, v4T, v5T, v5TE, v5TEJ
        0..=5 => "v5",
        // v6, v6KZ, v6T2, v6K, v6-M, v6S-M
        6..=9 | 11 | 12 => "v6",
        // v7, v7E-M
        10 | 13 => "v7",
        // v8-A to v9-A
        14..=22 => "v8",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::cpu_arch;

    /// What LLVM makes for armv7-linux-gnueabihf.
    const ARMV7: &[u8] = b"A\x35\0\0\0aeabi\0\x01\x2b\0\0\0C2.09\0\x06\x0a\x07\x41\x08\x01\x09\x02\x0a\x03\x0e\0\
        \x11\x01\x14\x01\x15\x01\x17\x03\x18\x01\x19\x01\x1c\x01\x1e\x01\x22\x01\x26\x01";
    /// What it makes for armv6-linux-gnueabihf.
    const ARMV6: &[u8] =
        b"A\x31\0\0\0aeabi\0\x01\x27\0\0\0C2.09\0\x06\x06\x08\x01\x09\x01\x0e\0\x11\x01\x14\x01\x15\x01\
        \x17\x03\x18\x01\x19\x01\x1c\x01\x1e\x01\x22\x01\x26\x01";

    fn section(vendor: &[u8], attributes: &[u8]) -> Vec<u8> {
        let file = [&[1], &u32::try_from(attributes.len() + 5).unwrap().to_le_bytes()[..], attributes].concat();
        let size = u32::try_from(4 + vendor.len() + file.len()).unwrap();
        [&size.to_le_bytes(), vendor, &file].concat()
    }

    fn sections(all: &[&[u8]]) -> Vec<u8> {
        [b"A", &all.concat()[..]].concat()
    }

    #[test]
    fn the_architecture_is_read_from_behind_other_attributes() {
        assert_eq!((cpu_arch(ARMV7), cpu_arch(ARMV6)), (Some(10), Some(6)));
        let others = section(b"aeabi\0", b"\x04raw\0\x20\x01gnu\0\x43" as &[u8]);
        assert_eq!(cpu_arch(&sections(&[&others])), None);
        let all = section(b"aeabi\0", b"\x05x\0\x20\x01gnu\0\x432.09\0\x46\x80\x01\x06\x0e");
        assert_eq!(cpu_arch(&sections(&[&section(b"mine\0", b"\x06\x01"), &all])), Some(14));
    }

    #[test]
    fn whatever_is_odd_tells_nothing() {
        for end in 0..ARMV7.len() {
            assert_eq!(cpu_arch(&ARMV7[..end]), None);
        }
        for odd in [&b"B"[..], b"A\0\0\0\0", b"A\xff\xff\xff\xff", b"A\x0b\0\0\0aeabi\0\x01\0\0\0\0"] {
            assert_eq!(cpu_arch(odd), None);
        }
        assert_eq!(cpu_arch(&sections(&[&section(b"aeabi\0", &[0xff; 40])])), None);
    }
}
