//! QR codes of links: as a picture, and for a terminal.
//!
//! Error correction M, as `HTTP_API` 4 asks for it. A module of the picture is a whole number of
//! pixels, so that cameras see sharp edges; what is left of the width is added to the margin.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use qrcode::render::unicode::Dense1x2;
use qrcode::{Color, EcLevel, QrCode};

/// Width and height of the picture, in pixels.
const PICTURE_WIDTH: usize = 320;
/// Light modules around the code at least.
const MARGIN: usize = 1;
/// Black on white whatever the colours of the terminal are, for scanners that take no other.
const BLACK_ON_WHITE: &str = "\x1b[38;5;16;48;5;231m";
const PLAIN: &str = "\x1b[0m";

/// The text does not fit into a QR code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are too many for a QR code")]
pub struct TooLong {
    /// Of the text.
    pub bytes: usize,
}

/// A PNG picture of 320 by 320 pixels.
///
/// # Errors
/// [`TooLong`] from about 2,300 bytes on.
pub fn png(text: &str) -> Result<Vec<u8>, TooLong> {
    let code = code(text)?;
    let mut bytes = Vec::new();
    let width = PICTURE_WIDTH as u32;
    let mut encoder = png::Encoder::new(&mut bytes, width, width);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&pixels(&code)))
        .expect("memory takes a picture of this size");
    Ok(bytes)
}

/// [`png`] as a `data:` URL.
///
/// # Errors
/// As [`png`].
pub fn data_url(text: &str) -> Result<String, TooLong> {
    png(text).map(|bytes| format!("data:image/png;base64,{}", BASE64.encode(bytes)))
}

/// Lines for a terminal that knows colours, without a line break at the end.
///
/// # Errors
/// As [`png`].
pub fn terminal(text: &str) -> Result<String, TooLong> {
    let blocks = code(text)?.render::<Dense1x2>().build();
    let lines: Vec<String> = blocks
        .lines()
        .map(|line| format!("{BLACK_ON_WHITE}{line}{PLAIN}"))
        .collect();
    Ok(lines.join("\n"))
}

fn code(text: &str) -> Result<QrCode, TooLong> {
    QrCode::with_error_correction_level(text, EcLevel::M).map_err(|_| TooLong { bytes: text.len() })
}

/// One bit a pixel, rows of whole bytes; 1 is white.
fn pixels(code: &QrCode) -> Vec<u8> {
    let modules = code.width();
    let scale = PICTURE_WIDTH / (modules + 2 * MARGIN);
    let before = (PICTURE_WIDTH - modules * scale) / 2;
    let module = |pixel: usize| {
        let place = pixel.checked_sub(before)? / scale;
        (place < modules).then_some(place)
    };
    let is_dark = |x, y| {
        let place = module(x).zip(module(y));
        place.is_some_and(|place| code[place] == Color::Dark)
    };
    let mut bits = vec![0xff; PICTURE_WIDTH / 8 * PICTURE_WIDTH];
    for y in 0..PICTURE_WIDTH {
        for x in (0..PICTURE_WIDTH).filter(|x| is_dark(*x, y)) {
            bits[(y * PICTURE_WIDTH + x) / 8] &= !(0x80 >> (x % 8));
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str =
        "https://grid.example/cluster/p/lamp-river-abandon-zoo-lamp-river-abandon-zoo";

    /// What a scanner reads of a picture that is light where `is_light`.
    fn scanned(width: usize, height: usize, is_light: impl Fn(usize, usize) -> bool) -> String {
        let grey = |x, y| if is_light(x, y) { 255 } else { 0 };
        let mut picture = rqrr::PreparedImage::prepare_from_greyscale(width, height, grey);
        let grids = picture.detect_grids();
        assert_eq!(grids.len(), 1);
        let (meta, text) = grids[0].decode().unwrap();
        assert_eq!(meta.ecc_level, 0, "level M");
        text
    }

    /// Width, height, and one byte a pixel.
    fn decoded(png: &[u8]) -> (usize, usize, Vec<u8>) {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width as usize, info.height as usize, pixels)
    }

    #[test]
    fn the_picture_holds_the_text_at_the_width_that_was_promised() {
        let full = format!("https://grid.example/worker?invite=v1.{}", "t".repeat(500));
        for text in ["x", LINK, &full] {
            let (width, height, pixels) = decoded(&png(text).unwrap());
            assert_eq!((width, height), (320, 320));
            assert_eq!(
                scanned(width, height, |x, y| pixels[y * width + x] > 127),
                text
            );
        }
    }

    #[test]
    fn the_terminal_shows_the_text() {
        let shown = terminal(LINK).unwrap();
        let rows: Vec<Vec<char>> = shown
            .lines()
            .map(|line| {
                let line = line.strip_prefix(BLACK_ON_WHITE).unwrap();
                line.strip_suffix(PLAIN).unwrap().chars().collect()
            })
            .collect();
        let is_light = |x: usize, y: usize| match rows[y / 2][x] {
            ' ' => true,
            '\u{2588}' => false,
            '\u{2580}' => y % 2 == 1,
            '\u{2584}' => y.is_multiple_of(2),
            other => panic!("{other:?}"),
        };
        // A scanner wants more than one pixel a module.
        let is_light = |x, y| is_light(x / 4, y / 4);
        assert_eq!(scanned(rows[0].len() * 4, rows.len() * 8, is_light), LINK);
    }

    #[test]
    fn what_fits_into_no_code_is_refused() {
        assert_eq!(png(&"x".repeat(3000)), Err(TooLong { bytes: 3000 }));
        assert!(
            data_url("x")
                .unwrap()
                .starts_with("data:image/png;base64,iVBOR")
        );
    }
}
