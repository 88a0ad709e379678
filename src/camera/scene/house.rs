//! House fronts of the street, in design pixels.

use fastrand::Rng;

use super::canvas::{Colour, Paint, Pen, Point, rgb, rounded};

/// Where the fronts meet the pavement.
pub(super) const BASE: f32 = 404.0;

/// Height of a storey.
const STOREY: f32 = 92.0;

const WALLS: [Colour; 8] = [
    rgb(222, 196, 156),
    rgb(178, 104, 84),
    rgb(230, 220, 198),
    rgb(170, 188, 192),
    rgb(206, 158, 138),
    rgb(190, 168, 128),
    rgb(226, 204, 150),
    rgb(152, 90, 78),
];
const ROOFS: [Colour; 3] = [rgb(132, 70, 56), rgb(78, 80, 88), rgb(110, 62, 52)];
const DOORS: [Colour; 4] = [rgb(92, 44, 40), rgb(36, 66, 60), rgb(44, 58, 92), rgb(120, 84, 52)];
const FRAME: Colour = rgb(240, 238, 232);
const BLACK: Colour = rgb(20, 20, 24);

/// A front between two neighbours.
#[derive(Clone, Copy, Debug)]
pub(super) struct House {
    pub(super) x: f32,
    pub(super) width: f32,
    storeys: u8,
    wall: Colour,
    brick: bool,
    roof: Colour,
    gable: bool,
    door: Colour,
    shop: bool,
}

/// A window that may be lit at night: x, y, width, height.
pub(super) type Window = (f32, f32, f32, f32);

/// A row of houses, no two neighbours of the same colour.
pub(super) fn row(rng: &mut Rng, width: f32) -> Vec<House> {
    let mut houses = Vec::new();
    let mut x = -30.0 - rng.f32() * 60.0;
    let mut walls = (0..WALLS.len()).cycle().skip(rng.usize(..8)).step_by(3);
    while x < width {
        let house_width = 196.0 + rng.f32() * 84.0;
        let wall = walls.next().unwrap_or_default();
        houses.push(House {
            x,
            width: house_width,
            storeys: if rng.f32() < 0.45 { 3 } else { 2 },
            wall: WALLS[wall],
            brick: wall == 1 || wall == 7,
            roof: ROOFS[rng.usize(..3)],
            gable: rng.f32() < 0.35,
            door: DOORS[rng.usize(..4)],
            shop: rng.f32() < 0.3,
        });
        x += house_width + if rng.f32() < 0.25 { 46.0 } else { 0.0 };
    }
    houses
}

impl House {
    fn top(&self) -> f32 {
        BASE - f32::from(self.storeys) * STOREY - 10.0
    }

    /// Draws the front and gives its windows above the ground floor.
    pub(super) fn draw(&self, pen: &mut Pen<'_>, rng: &mut Rng) -> Vec<Window> {
        self.roof(pen, rng);
        let (x, w, top) = (self.x, self.width, self.top());
        pen.rect(x, top, w, BASE - top, Paint::down(self.wall.shade(1.06), self.wall.shade(0.88)));
        if self.brick {
            self.bricks(pen);
        }
        pen.rect(x, BASE - 16.0, w, 16.0, Paint::solid(self.wall.shade(0.62)));
        pen.rect(x - 3.0, top - 3.0, w + 6.0, 9.0, Paint::solid(FRAME.shade(0.92)));
        pen.rect(x, top + 6.0, w, 7.0, Paint::solid(BLACK).alpha(0.22));
        // The neighbour's wall begins here: a drain pipe and its shadow.
        pen.rect(x + w - 7.0, top + 4.0, 4.0, BASE - top - 4.0, Paint::solid(self.wall.shade(0.6)));
        pen.rect(x + w - 3.0, top + 4.0, 3.0, BASE - top - 4.0, Paint::solid(BLACK).alpha(0.2));
        let mut windows = Vec::new();
        let columns = (w / 70.0) as u8;
        for storey in 1..self.storeys {
            for column in 0..columns {
                let centre = x + w * (f32::from(column) + 0.5) / f32::from(columns);
                let y = BASE - f32::from(storey + 1) * STOREY + 12.0;
                windows.push(self.window(pen, rng, (centre - 17.0, y, 34.0, 54.0)));
            }
        }
        self.ground_floor(pen, rng, columns);
        windows
    }

    fn roof(&self, pen: &mut Pen<'_>, rng: &mut Rng) {
        let (x, w, top) = (self.x, self.width, self.top());
        let rise = if self.gable { 74.0 } else { 52.0 };
        let chimney = x + w * (0.2 + 0.5 * rng.f32());
        pen.rect(chimney, top - rise - 12.0, 22.0, rise, Paint::solid(rgb(142, 84, 68)));
        pen.rect(chimney + 15.0, top - rise - 12.0, 7.0, rise, Paint::solid(rgb(112, 64, 54)));
        pen.rect(chimney - 2.0, top - rise - 15.0, 26.0, 5.0, Paint::solid(rgb(96, 60, 52)));
        let ridge = if self.gable { (w / 2.0, w / 2.0) } else { (22.0, w - 22.0) };
        let slope = [
            (x - 7.0, top),
            (x + ridge.0, top - rise),
            (x + ridge.1, top - rise),
            (x + w + 7.0, top),
        ];
        pen.polygon(&slope, Paint::down(self.roof.shade(1.15), self.roof.shade(0.85)));
        for line in 1..8u8 {
            let at = f32::from(line) / 8.0;
            let (l, r) = (-7.0 + (ridge.0 + 7.0) * at, w + 7.0 - (w + 7.0 - ridge.1) * at);
            pen.rect(x + l, top - rise * at, r - l, 1.0, Paint::solid(BLACK).alpha(0.2));
        }
    }

    fn bricks(&self, pen: &mut Pen<'_>) {
        let mortar = Paint::solid(rgb(222, 204, 190)).alpha(0.16);
        let mut y = self.top() + 14.0;
        let mut odd = false;
        while y < BASE - 16.0 {
            pen.rect(self.x, y, self.width, 1.0, mortar);
            let mut x = self.x + if odd { 7.0 } else { 0.0 };
            while x < self.x + self.width - 4.0 {
                pen.rect(x, y, 1.0, 6.0, mortar);
                x += 14.0;
            }
            y += 6.0;
            odd = !odd;
        }
    }

    fn window(&self, pen: &mut Pen<'_>, rng: &mut Rng, (x, y, w, h): Window) -> Window {
        pen.rect(x - 5.0, y - 7.0, w + 10.0, h + 10.0, Paint::solid(self.wall.shade(1.16)));
        pen.rect(x - 2.0, y - 2.0, w + 4.0, h + 4.0, Paint::solid(FRAME));
        pen.rect(x, y, w, h, Paint::down(rgb(150, 178, 198), rgb(62, 78, 92)));
        let cloud = [(x, y + h * 0.6), (x + w * 0.7, y), (x + w, y), (x, y + h * 0.85)];
        pen.polygon(&cloud, Paint::solid(rgb(232, 240, 246)).alpha(0.28));
        if rng.f32() < 0.6 {
            let curtain = Paint::solid(rgb(238, 228, 210)).alpha(0.75);
            let drawn = 4.0 + rng.f32() * 8.0;
            pen.polygon(&[(x, y), (x + drawn + 3.0, y), (x + drawn, y + h), (x, y + h)], curtain);
            pen.polygon(
                &[(x + w, y), (x + w - drawn - 3.0, y), (x + w - drawn, y + h), (x + w, y + h)],
                curtain,
            );
        }
        pen.rect(x + w / 2.0 - 1.2, y, 2.4, h, Paint::solid(FRAME));
        pen.rect(x, y + h * 0.36, w, 2.2, Paint::solid(FRAME));
        pen.rect(x, y, w, 3.0, Paint::solid(BLACK).alpha(0.3));
        pen.rect(x - 6.0, y + h + 2.0, w + 12.0, 5.0, Paint::solid(FRAME.shade(0.86)));
        pen.rect(x - 5.0, y + h + 7.0, w + 10.0, 3.0, Paint::solid(BLACK).alpha(0.22));
        if rng.f32() < 0.22 {
            flowers(pen, rng, (x, y + h + 1.0), w);
        }
        (x, y, w, h)
    }

    fn ground_floor(&self, pen: &mut Pen<'_>, rng: &mut Rng, columns: u8) {
        let (x, w) = (self.x, self.width);
        let door_at = if self.shop { columns - 1 } else { rng.u8(..columns) };
        let centre = |column: u8| x + w * (f32::from(column) + 0.5) / f32::from(columns);
        self.doorway(pen, centre(door_at));
        if self.shop {
            let right = centre(door_at) - 30.0;
            self.shop_front(pen, (x + 14.0, right - x - 14.0));
            return;
        }
        for column in (0..columns).filter(|&c| c != door_at) {
            self.window(pen, rng, (centre(column) - 18.0, BASE - 78.0, 36.0, 44.0));
        }
    }

    fn doorway(&self, pen: &mut Pen<'_>, x: f32) {
        let y = BASE - 72.0;
        pen.rect(x - 21.0, y - 18.0, 42.0, 86.0, Paint::solid(FRAME.shade(0.94)));
        pen.rect(x - 16.0, y - 13.0, 32.0, 10.0, Paint::solid(rgb(96, 116, 130)));
        pen.rect(x - 16.0, y, 32.0, 68.0, Paint::down(self.door.shade(1.2), self.door.shade(0.9)));
        for (dx, dy, h) in
            [(-11.0, 6.0, 20.0), (2.0, 6.0, 20.0), (-11.0, 34.0, 26.0), (2.0, 34.0, 26.0)]
        {
            pen.rect(x + dx, y + dy, 9.0, h, Paint::solid(self.door.shade(0.72)));
        }
        pen.ellipse((x + 12.5, y + 36.0), 1.8, 1.8, Paint::solid(rgb(226, 196, 110)));
        pen.rect(x - 25.0, BASE - 4.0, 50.0, 6.0, Paint::solid(rgb(172, 168, 160)));
    }

    fn shop_front(&self, pen: &mut Pen<'_>, (x, w): (f32, f32)) {
        pen.rect(x, BASE - 72.0, w, 62.0, Paint::solid(self.door.shade(0.9)));
        pen.rect(
            x + 4.0,
            BASE - 68.0,
            w - 8.0,
            52.0,
            Paint::down(rgb(130, 150, 160), rgb(58, 66, 72)),
        );
        let mut shelf = x + 10.0;
        while shelf < x + w - 16.0 {
            let goods = [rgb(214, 148, 62), rgb(178, 62, 52), rgb(92, 142, 76)][shelf as usize % 3];
            pen.ellipse((shelf + 4.0, BASE - 24.0), 6.0, 5.0, Paint::solid(goods.shade(0.8)));
            shelf += 13.0;
        }
        pen.rect(x, BASE - 92.0, w, 20.0, Paint::solid(self.door.shade(1.1)));
        let stripes = ((w / 14.0) as u8).max(2);
        for i in 0..stripes {
            let (l, step) = (
                x - 4.0 + (w + 8.0) * f32::from(i) / f32::from(stripes),
                (w + 8.0) / f32::from(stripes),
            );
            let colour = if i % 2 == 0 { rgb(196, 52, 48) } else { rgb(244, 240, 230) };
            let cloth = [
                (l, BASE - 76.0),
                (l + step, BASE - 76.0),
                (l + step, BASE - 56.0),
                (l + step / 2.0, BASE - 52.0),
                (l, BASE - 56.0),
            ];
            pen.polygon(&cloth, Paint::down(colour, colour.shade(0.85)));
        }
        pen.rect(x, BASE - 54.0, w, 8.0, Paint::solid(BLACK).alpha(0.25));
    }
}

/// A window box.
fn flowers(pen: &mut Pen<'_>, rng: &mut Rng, (x, y): Point, w: f32) {
    for i in 0..14u8 {
        let at = (x + w * f32::from(i) / 13.0, y - 1.0 - rng.f32() * 7.0);
        let colour = if rng.f32() < 0.45 { rgb(212, 60, 72) } else { rgb(76, 118, 58) };
        pen.ellipse(at, 3.2, 2.8, Paint::solid(colour));
    }
    let tub = [(x - 2.0, y), (x + w + 2.0, y), (x + w, y + 8.0), (x, y + 8.0)];
    pen.polygon(&rounded(&tub), Paint::solid(rgb(118, 72, 52)));
}
