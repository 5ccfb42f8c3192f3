// The bits of turbo levels, as two's complement i8, from the bits of their codes: 32 values at once, no look-up.
//
// Words: BITS of a code, GROUP a size of rotation group with these levels (64 stands for 128 too, but for BITS 2);
// import it with level_planes=NAME once per table. The formulas are the tables of turbo_quant::turbo::tables:
// the top bit s of a code is set for a positive level, and the others, xored with s, are ~index of its magnitude M.
// Bit k of the level is bit k of M, flipped where s is clear and M has a set bit below k.

#import levels_of_planes

// a, b, c: the low bits of the codes from bit 0 on, each xored with s, the top one.
fn level_planes(a: u32, b: u32, c: u32, s: u32) -> Levels {
#if BITS == 4
#if GROUP == 16
    return levels_of_planes(
        vec4<u32>(
            ~((a ^ b) | (a & c)),
            (c | ~b) ^ ((~((a ^ b) | (a & c))) & ~s),
            (a & c) ^ ((~b | (a | c)) & ~s),
            ((b & c) ^ (a | (b | c))) ^ ((~b | (a | c)) & ~s),
        ),
        vec4<u32>(
            (b ^ ((a ^ c) & (b | c))) ^ s,
            ((a ^ b) | (a & c)) ^ s,
            (c | (a & b)) ^ s,
            ~s,
        ),
    );
#endif
#if GROUP == 32
    return levels_of_planes(
        vec4<u32>(
            ~a ^ (b & (a ^ c)),
            (c | (~(a | b))) ^ ((~a ^ (b & (a ^ c))) & ~s),
            (~((a & c) ^ (b | c))) ^ ((~a | (b | c)) & ~s),
            ((b ^ c) ^ (~a | (b | c))) ^ s,
        ),
        vec4<u32>(
            (b ^ ((a ^ c) & (b | c))) ^ s,
            ((a ^ b) | (a & c)) ^ s,
            (c | (a & b)) ^ s,
            ~s,
        ),
    );
#endif
#if GROUP == 64
    return levels_of_planes(
        vec4<u32>(
            a ^ (b & (a ^ c)),
            (a ^ (b | (a & c))) ^ ((a ^ (b & (a ^ c))) & ~s),
            ((b & c) | (a ^ (b | c))) ^ (((a ^ b) | (a & c)) & ~s),
            ((a ^ b) | (~(a | c))) ^ ((c | (a ^ b)) & ~s),
        ),
        vec4<u32>(
            ((a | b) & (b ^ c)) ^ ((c | (~(a & b))) & ~s),
            (a ^ (b & (a ^ c))) ^ s,
            (b | c) ^ s,
            ~s,
        ),
    );
#endif
#endif
#if BITS == 3
#if GROUP == 16
    return levels_of_planes(
        vec4<u32>(
            ~(a & b),
            (~(a & b)) & ~s,
            (b | ~a) ^ ((~(a & b)) & ~s),
            (~(a & b)) ^ s,
        ),
        vec4<u32>(
            ~s,
            a ^ s,
            b ^ s,
            ~s,
        ),
    );
#endif
#if GROUP == 32
    return levels_of_planes(
        vec4<u32>(
            a ^ (a | b),
            b ^ ((a ^ (a | b)) & ~s),
            a ^ (b & ~s),
            ~ ((a | b) & ~s),
        ),
        vec4<u32>(
            (a | b) ^ s,
            a ^ s,
            b ^ s,
            ~s,
        ),
    );
#endif
#if GROUP == 64
    return levels_of_planes(
        vec4<u32>(
            a ^ b,
            (a | b) ^ ((a ^ b) & ~s),
            (a ^ b) ^ ((a | b) & ~s),
            (b | ~a) ^ ((a | b) & ~s),
        ),
        vec4<u32>(
            (a & b) ^ s,
            (b | ~a) ^ s,
            (a | b) ^ s,
            ~s,
        ),
    );
#endif
#endif
#if BITS == 2
#if GROUP == 16
    return levels_of_planes(
        vec4<u32>(
            0u,
            0xffffffffu,
            ~a ^ s,
            ~a ^ s,
        ),
        vec4<u32>(
            ~a ^ s,
            a ^ s,
            a ^ s,
            ~s,
        ),
    );
#endif
#if GROUP == 32
    return levels_of_planes(
        vec4<u32>(
            ~a,
            ~ (~a & ~s),
            ~a ^ s,
            ~a ^ s,
        ),
        vec4<u32>(
            ~a ^ s,
            a ^ s,
            a ^ s,
            ~s,
        ),
    );
#endif
#if GROUP == 64
    return levels_of_planes(
        vec4<u32>(
            a,
            ~a ^ (a & ~s),
            s,
            ~s,
        ),
        vec4<u32>(
            ~a ^ s,
            ~s,
            a ^ s,
            ~s,
        ),
    );
#endif
#if GROUP == 128
    return levels_of_planes(
        vec4<u32>(
            a,
            ~a ^ (a & ~s),
            a ^ s,
            a ^ s,
        ),
        vec4<u32>(
            ~s,
            s,
            a ^ s,
            ~s,
        ),
    );
#endif
#endif
}
