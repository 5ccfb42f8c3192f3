// Softmax weights of a lane's two keys, packed for the value sums; docs/exact-attention.md, sections 7 and 8.

#import attention_powers_128

#if V_TYPE == 0
#define WEIGHT_BITS 14
#define WEIGHT_MAX 32767u
#else
#define WEIGHT_BITS 10
#define WEIGHT_MAX 2047u
#endif

// Of a tile: largest exponent of every row, then of its weights for every scale block.
alias Tops = array<i32, ROWS * (V_BLOCKS + 1)>;

// The words that the scales of a lane's two keys are in, for every scale block of V.
alias ScaleWords = array<vec2<u32>, V_BLOCKS>;

fn value_scale_words(v_unit: u32, lane: u32) -> ScaleWords {
    var words: ScaleWords;
#repeat B V_BLOCKS
    {
        let at = v_unit + TILE * V_WORDS + B * 32u + lane / 2u;
        words[B] = vec2<u32>(v_pool[at], v_pool[at + 16u]);
    }
#end
    return words;
}

// The scales of a lane's two keys for a scale block of V.
struct ScaleParts {
    // Mantissa with hidden bit, sign.
    mantissa: vec2<u32>,
    sign: vec2<i32>,
    // A weight before rounding is product = (mantissa of the power >> 4) * mantissa; the exponent of its leading bit is
    // that of the power + base + (product >> carry). HIDDEN for a scale of 0.
    base: vec2<i32>,
    carry: vec2<u32>,
    // It is shifted right by the frame less the exponent of the power less this, and once more with rounding.
    under: vec2<i32>,
}

fn scale_parts(words: vec2<u32>, lane: u32) -> ScaleParts {
    let half = (words >> vec2<u32>((lane & 1u) * 16u)) & vec2<u32>(0xffffu);
    let exponent = (half >> vec2<u32>(10u)) & vec2<u32>(31u);
    let hidden = select(vec2<u32>(0u), vec2<u32>(1024u), exponent != vec2<u32>(0u));
    let mantissa = (half & vec2<u32>(0x3ffu)) | hidden;
    let field = bitcast<vec2<i32>>(max(exponent, vec2<u32>(1u)));
    let leading = firstLeadingBit(mantissa);
    let base = field + bitcast<vec2<i32>>(leading) + vec2<i32>(19);
    return ScaleParts(
        mantissa,
        1 - bitcast<vec2<i32>>((half >> vec2<u32>(15u)) << vec2<u32>(1u)),
        select(base, vec2<i32>(HIDDEN), mantissa == vec2<u32>(0u)),
        (leading + vec2<u32>(20u)) & vec2<u32>(31u),
        field + vec2<i32>(WEIGHT_BITS + 1),
    );
}

fn product_of(mantissa: vec2<u32>, scale: ScaleParts) -> vec2<u32> {
    return (mantissa >> vec2<u32>(4u)) * scale.mantissa;
}

// The largest exponents of the lane's keys.
fn own_tops(powers: Powers, scales: array<ScaleParts, V_BLOCKS>) -> Tops {
    var tops: Tops;
#repeat R ROWS
    {
        tops[R] = max(powers.exponent[R].x, powers.exponent[R].y);
#repeat B V_BLOCKS
        {
            let carried = bitcast<vec2<i32>>(product_of(powers.mantissa[R], scales[B]) >> scales[B].carry);
            let top = powers.exponent[R] + scales[B].base + carried;
            tops[(B + 1) * ROWS + R] = max(top.x, top.y);
        }
#end
    }
#end
    return tops;
}

// Tops of a tile from those of its lanes.
fn tile_tops(own: Tops, t: u32, subgroup_size: u32) -> Tops {
    var tops: Tops;
    let tile = t / 32u;
    if subgroup_size == 32u {
#repeat R ROWS
        tops[R] = subgroupMax(own[R]);
#repeat B V_BLOCKS
        tops[(B + 1) * ROWS + R] = subgroupMax(own[(B + 1) * ROWS + R]);
#end
#end
        if (t & 31u) == 0u {
#repeat R ROWS
            atomicStore(&exponents[R * 4u + tile], tops[R]);
#repeat B V_BLOCKS
            atomicStore(&frames[(B * ROWS + R) * 4u + tile], tops[(B + 1) * ROWS + R]);
#end
#end
        }
        return tops;
    }
    for (var i = t; i < ROWS * 4u * V_BLOCKS; i += 128u) {
        atomicStore(&frames[i], LOWEST);
        atomicStore(&exponents[i % (ROWS * 4u)], LOWEST);
        atomicStore(&mantissas[i % (ROWS * 4u)], 0u);
    }
    workgroupBarrier();
#repeat R ROWS
    atomicMax(&exponents[R * 4u + tile], own[R]);
#repeat B V_BLOCKS
    atomicMax(&frames[(B * ROWS + R) * 4u + tile], own[(B + 1) * ROWS + R]);
#end
#end
    workgroupBarrier();
#repeat R ROWS
    tops[R] = atomicLoad(&exponents[R * 4u + tile]);
#repeat B V_BLOCKS
    tops[(B + 1) * ROWS + R] = atomicLoad(&frames[(B * ROWS + R) * 4u + tile]);
#end
#end
    return tops;
}

// Sums of the mantissas of a tile, in the frame of its largest exponent, to `mantissas`.
fn sum_mantissas(powers: Powers, tops: Tops, t: u32, subgroup_size: u32) {
    let tile = t / 32u;
#repeat R ROWS
    {
        let drop = bitcast<vec2<u32>>(vec2<i32>(tops[R]) - powers.exponent[R]);
        let part = powers.mantissa[R] >> min(drop, vec2<u32>(31u));
        if subgroup_size == 32u {
            let sum = subgroupAdd(part.x + part.y);
            if (t & 31u) == 0u {
                atomicStore(&mantissas[R * 4u + tile], sum);
            }
        } else {
            atomicAdd(&mantissas[R * 4u + tile], part.x + part.y);
        }
    }
#end
}

// Two signed weights, bytes 0 and 1 of one, 2 and 3 of the other: the lower bits (7; wide 8, less 128), those above.
fn pack_weights(w: vec2<i32>) -> u32 {
    let bits = bitcast<vec2<u32>>(w);
    let both = (bits.x & 0xffffu) | (bits.y << 16u);
#if V_TYPE == 0
    return both ^ 0x00800080u;
#else
    return (both & 0x007f007fu) | ((both << 1u) & 0xff00ff00u);
#endif
}

// Weights of the tile to `scratch`, exponents and sums of its denominator and frames to workgroup memory.
// Of every eight keys 4 i .. 4 i + 3 and those 32 behind, a vector: low and high bytes of 4 i, 4 i + 1 and those 32
// behind, then of the others.
fn weigh_keys(powers: Powers, scale_words: ScaleWords, t: u32, subgroup_size: u32) {
    let lane = t & 31u;
    var scales: array<ScaleParts, V_BLOCKS>;
#repeat B V_BLOCKS
    scales[B] = scale_parts(scale_words[B], lane);
#end
    let tops = tile_tops(own_tops(powers, scales), t, subgroup_size);
    sum_mantissas(powers, tops, t, subgroup_size);
    let odd = (lane & 1u) != 0u;
#repeat R ROWS
#repeat B V_BLOCKS
    {
        let product = product_of(powers.mantissa[R], scales[B]);
        let drop = bitcast<vec2<u32>>(vec2<i32>(tops[(B + 1) * ROWS + R]) - powers.exponent[R] - scales[B].under);
        // A product of 0 gives 0 whatever its shift; others are shifted by more than 1 and less than 2^31.
        let rounded = ((product >> min(drop, vec2<u32>(31u))) + vec2<u32>(1u)) >> vec2<u32>(1u);
        let own = pack_weights(bitcast<vec2<i32>>(min(rounded, vec2<u32>(WEIGHT_MAX))) * scales[B].sign);
        let other = subgroupShuffleXor(own, 1u);
        let low = (own & 0x00ff00ffu) | ((other << 8u) & 0xff00ff00u);
        let high = ((other >> 8u) & 0x00ff00ffu) | (own & 0xff00ff00u);
        let at = ((t / 4u) * ROWS + R) * V_BLOCKS + B;
        scratch[at][lane & 3u] = select(low, high, odd);
    }
#end
#end
}
