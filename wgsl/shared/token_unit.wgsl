// A unit of activations in registers, and its product with a unit of weights (unit_dot.wgsl).
//
// Words: WIDE where codes have a finer plane. Import it a second time with token_unit= and token_dot=.

#import token_unit_words
#import unit_dot

// The unit whose place in heads is `at`.
fn token_unit(at: u32) -> TokenUnit {
    var x: TokenUnit;
    x.first = codes[at * 2u];
    x.second = codes[at * 2u + 1u];
#ifdef WIDE
    x.fine_first = codes[params.fine_plane + at * 2u];
    x.fine_second = codes[params.fine_plane + at * 2u + 1u];
#endif
    x.head = heads[at];
    return x;
}

fn token_dot(u: Unit, x: TokenUnit) -> f32 {
    var dots = vec2<i32>(dot_16(u.first, x.first), dot_16(u.second, x.second));
#ifdef WIDE
    dots = dots * 256 + vec2<i32>(dot_16(u.first, x.fine_first), dot_16(u.second, x.fine_second));
#endif
    return scaled_dots(u, dots, x.head);
}
