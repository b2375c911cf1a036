//! Character styles: follows SGR sequences (ECMA-48, ITU T.416 for colours, xterm's additions).

/// Colour of a character or its background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Colour that the theme decides: 0 to 7 dark, 8 to 15 bright.
    Named(u8),
    /// Red, green and blue, 0 to 255 each.
    Rgb(u8, u8, u8),
}

/// Style of a character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Bold, set by SGR 1.
    pub bold: bool,
    /// Dim, set by SGR 2.
    pub dim: bool,
    /// Italic, set by SGR 3.
    pub italic: bool,
    /// Underlined, set by SGR 4 and 21, in any form.
    pub underline: bool,
    /// Foreground and background exchanged, set by SGR 7.
    pub inverse: bool,
    /// Struck through, set by SGR 9.
    pub struck: bool,
    /// Colour of the character; `None` is the theme's.
    pub front: Option<Colour>,
    /// Colour behind the character; `None` is the theme's.
    pub back: Option<Colour>,
}

impl Colour {
    /// Returns the number of a theme colour.
    fn name(self) -> Option<u8> {
        match self {
            Self::Named(number) => Some(number),
            Self::Rgb(..) => None,
        }
    }

    /// Returns a colour that is not the theme's as `#rrggbb`.
    #[must_use]
    pub fn hex(self) -> Option<String> {
        match self {
            Self::Named(_) => None,
            Self::Rgb(red, green, blue) => Some(format!("#{red:02x}{green:02x}{blue:02x}")),
        }
    }
}

impl Style {
    /// Returns the CSS classes of the style, separated by blanks; empty for a plain style.
    #[must_use]
    pub fn classes(&self) -> String {
        let attributes = [
            (self.bold, "bold"),
            (self.dim, "dim"),
            (self.italic, "italic"),
            (self.underline, "underline"),
            (self.inverse, "inverse"),
            (self.struck, "struck"),
        ];
        let mut names: Vec<String> =
            attributes.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| (*name).to_owned()).collect();
        names.extend(self.front.and_then(Colour::name).map(|number| format!("f{number}")));
        names.extend(self.back.and_then(Colour::name).map(|number| format!("b{number}")));
        names.join(" ")
    }

    /// Follows an SGR sequence. Numbers joined by colons form one parameter; the older notation has the numbers of a
    /// colour as parameters of their own.
    pub fn change<'a>(&mut self, mut params: impl Iterator<Item = &'a [u16]>) {
        while let Some(param) = params.next() {
            match param {
                [38, rest @ ..] => set(&mut self.front, colour(rest, &mut params)),
                [48, rest @ ..] => set(&mut self.back, colour(rest, &mut params)),
                // The colour of underlines is not shown, but its numbers must not be read as attributes.
                [58, rest @ ..] => drop(colour(rest, &mut params)),
                // `4:0` is no underline; double, curly and dotted ones show as a plain one.
                [4, form, ..] => self.underline = *form != 0,
                [number, ..] => self.attribute(*number),
                [] => {}
            }
        }
    }

    fn attribute(&mut self, number: u16) {
        let small = |base: u16, first: u8| u8::try_from(number - base).map(|n| Colour::Named(n + first)).ok();
        match number {
            0 => *self = Self::default(),
            1 => self.bold = true,
            2 => self.dim = true,
            3 => self.italic = true,
            4 | 21 => self.underline = true,
            7 => self.inverse = true,
            9 => self.struck = true,
            22 => (self.bold, self.dim) = (false, false),
            23 => self.italic = false,
            24 => self.underline = false,
            27 => self.inverse = false,
            29 => self.struck = false,
            30..=37 => self.front = small(30, 0),
            39 => self.front = None,
            40..=47 => self.back = small(40, 0),
            49 => self.back = None,
            90..=97 => self.front = small(90, 8),
            100..=107 => self.back = small(100, 8),
            _ => {}
        }
    }
}

fn set(colour: &mut Option<Colour>, to: Option<Colour>) {
    // A colour that cannot be read changes nothing.
    if to.is_some() {
        *colour = to;
    }
}

/// Reads the colour behind 38, 48 or 58: from the rest of its parameter (`38:5:208`, `38:2::255:135:0`), or else from
/// the parameters that follow (`38;5;208`, `38;2;255;135;0`). `None` where they name no colour.
fn colour<'a>(rest: &[u16], following: &mut impl Iterator<Item = &'a [u16]>) -> Option<Colour> {
    let mut next = || following.next().and_then(|param| param.first().copied());
    match rest {
        [5, number, ..] => of_table(*number),
        // ITU T.416 has a colour space here, which may be empty; many programs leave it out.
        [2, _, red, green, blue, ..] | [2, red, green, blue] => rgb(*red, *green, *blue),
        [] => match next()? {
            5 => of_table(next()?),
            2 => {
                let (red, green, blue) = (next()?, next()?, next()?);
                rgb(red, green, blue)
            }
            _ => None,
        },
        _ => None,
    }
}

fn rgb(red: u16, green: u16, blue: u16) -> Option<Colour> {
    Some(Colour::Rgb(red.try_into().ok()?, green.try_into().ok()?, blue.try_into().ok()?))
}

/// Returns one of xterm's 256 colours: sixteen of the theme, a cube of 6 × 6 × 6, and 24 greys.
fn of_table(number: u16) -> Option<Colour> {
    let number = u8::try_from(number).ok()?;
    // The steps of the cube are 0, 95, 135, 175, 215 and 255.
    let level = |value: u8| if value == 0 { 0 } else { 55 + value * 40 };
    Some(match number {
        0..=15 => Colour::Named(number),
        16..=231 => {
            let place = number - 16;
            Colour::Rgb(level(place / 36), level(place / 6 % 6), level(place % 6))
        }
        232.. => {
            let grey = 8 + (number - 232) * 10;
            Colour::Rgb(grey, grey, grey)
        }
    })
}
