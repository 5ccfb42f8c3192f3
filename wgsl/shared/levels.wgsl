// Codes to levels: eight values ("an octet") of four rows at once.
//
// Words: TYPE 0 q8_0, 1 q4_0, 2 to 4 turbo2 to turbo4; import it with TYPE=t levels=NAME once per side.

#import levels_of_planes
#if TYPE == 4
#import level_planes BITS=4 GROUP=16 level_planes=turbo4_16
#import level_planes BITS=4 GROUP=32 level_planes=turbo4_32
#import level_planes BITS=4 GROUP=64 level_planes=turbo4_64
#endif
#if TYPE == 3
#import level_planes BITS=3 GROUP=16 level_planes=turbo3_16
#import level_planes BITS=3 GROUP=32 level_planes=turbo3_32
#import level_planes BITS=3 GROUP=64 level_planes=turbo3_64
#endif
#if TYPE == 2
#import level_planes BITS=2 GROUP=16 level_planes=turbo2_16
#import level_planes BITS=2 GROUP=32 level_planes=turbo2_32
#import level_planes BITS=2 GROUP=64 level_planes=turbo2_64
#import level_planes BITS=2 GROUP=128 level_planes=turbo2_128
#endif

// Levels of four rows from their codes in nibbles (value j in nibble j); scale blocks have n values.
fn levels(codes: vec4<u32>, n: u32) -> Levels {
#if TYPE == 1
    // Code - 8 in every byte: 120 more never carries, and 128 less is a flip of the sign bit.
    let even = (codes & vec4<u32>(0x0f0f0f0fu)) + vec4<u32>(0x78787878u);
    let odd = ((codes >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu)) + vec4<u32>(0x78787878u);
    return Levels(even ^ vec4<u32>(0x80808080u), odd ^ vec4<u32>(0x80808080u));
#else
    let planes = transpose_nibbles(codes);
#if TYPE == 4
    let s = planes.w;
    let a = planes.x ^ s;
    let b = planes.y ^ s;
    let c = planes.z ^ s;
    if n >= 64u {
        return turbo4_64(a, b, c, s);
    }
    if n == 32u {
        return turbo4_32(a, b, c, s);
    }
    return turbo4_16(a, b, c, s);
#endif
#if TYPE == 3
    let s = planes.z;
    let a = planes.x ^ s;
    let b = planes.y ^ s;
    let c = 0u;
    if n >= 64u {
        return turbo3_64(a, b, c, s);
    }
    if n == 32u {
        return turbo3_32(a, b, c, s);
    }
    return turbo3_16(a, b, c, s);
#endif
#if TYPE == 2
    let s = planes.y;
    let a = planes.x ^ s;
    let b = 0u;
    let c = 0u;
    if n == 128u {
        return turbo2_128(a, b, c, s);
    }
    if n >= 64u {
        return turbo2_64(a, b, c, s);
    }
    if n == 32u {
        return turbo2_32(a, b, c, s);
    }
    return turbo2_16(a, b, c, s);
#endif
#endif
}
