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

struct ScaleParts {
    // Mantissa with hidden bit, exponent field (at least 1), all ones if negative.
    mantissa: vec2<u32>,
    field: vec2<i32>,
    sign: vec2<i32>,
}

// The scales of a lane's two keys for a scale block of V.
fn value_scales(v_unit: u32, block: u32, lane: u32) -> ScaleParts {
    let at = v_unit + TILE * V_WORDS + block * 32u + lane / 2u;
    let half = (vec2<u32>(v_pool[at], v_pool[at + 16u]) >> vec2<u32>((lane & 1u) * 16u)) & vec2<u32>(0xffffu);
    let field = (half >> vec2<u32>(10u)) & vec2<u32>(31u);
    let hidden = select(vec2<u32>(0u), vec2<u32>(1024u), field != vec2<u32>(0u));
    return ScaleParts(
        (half & vec2<u32>(0x3ffu)) | hidden,
        bitcast<vec2<i32>>(max(field, vec2<u32>(1u))),
        -bitcast<vec2<i32>>(half >> vec2<u32>(15u)),
    );
}

// The largest exponents of the lane's keys.
fn own_tops(powers: Powers, scales: array<ScaleParts, V_BLOCKS>) -> Tops {
    var tops: Tops;
#repeat R ROWS
    {
        let seen = powers.mantissa[R] != vec2<u32>(0u);
        let e = select(vec2<i32>(LOWEST), powers.exponent[R], seen);
        tops[R] = max(e.x, e.y);
#repeat B V_BLOCKS
        {
            let product = (powers.mantissa[R] >> vec2<u32>(4u)) * scales[B].mantissa;
            let leading = bitcast<vec2<i32>>(firstLeadingBit(product));
            let top = powers.exponent[R] + scales[B].field + leading;
            let kept = select(vec2<i32>(LOWEST), top, product != vec2<u32>(0u));
            tops[(B + 1) * ROWS + R] = max(kept.x, kept.y);
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

// Two signed weights as bytes 0 and 1: the lower bits (7; wide 8, less 128); bytes 2 and 3: those above.
fn pack_weights(w: vec2<i32>) -> u32 {
    let bits = bitcast<vec2<u32>>(w);
#if V_TYPE == 0
    let low = ((bits.x & 0xffu) | ((bits.y & 0xffu) << 8u)) ^ 0x8080u;
    let high = ((bits.x >> 8u) & 0xffu) | (bits.y & 0xff00u);
#else
    let low = (bits.x & 0x7fu) | ((bits.y & 0x7fu) << 8u);
    let high = ((bits.x >> 7u) & 0xffu) | ((bits.y << 1u) & 0xff00u);
#endif
    return low | (high << 16u);
}

// Weights of the tile to `scratch`, exponents and sums of its denominator and frames to workgroup memory.
// Of every eight keys 4 i .. 4 i + 3 and those 32 behind, a vector: low and high bytes of four, then of the others.
fn weigh_keys(scores: Scores, position: u32, v_unit: u32, t: u32, subgroup_size: u32) {
    let lane = t & 31u;
    let powers = powers_of(scores, vec2<u32>(position, position + 32u));
    var scales: array<ScaleParts, V_BLOCKS>;
#repeat B V_BLOCKS
    scales[B] = value_scales(v_unit, B, lane);
#end
    let tops = tile_tops(own_tops(powers, scales), t, subgroup_size);
    sum_mantissas(powers, tops, t, subgroup_size);
#repeat R ROWS
#repeat B V_BLOCKS
    {
        let product = (powers.mantissa[R] >> vec2<u32>(4u)) * scales[B].mantissa;
        let frame = vec2<i32>(tops[(B + 1) * ROWS + R] - WEIGHT_BITS);
        let drop = bitcast<vec2<u32>>(frame - powers.exponent[R] - scales[B].field);
        let shift = drop & vec2<u32>(31u);
        let rounded = (product + ((vec2<u32>(1u) << shift) >> vec2<u32>(1u))) >> shift;
        let gone = (drop > vec2<u32>(31u)) | (product == vec2<u32>(0u));
        let weight = bitcast<vec2<i32>>(select(min(rounded, vec2<u32>(WEIGHT_MAX)), vec2<u32>(0u), gone));
        let own = pack_weights((weight ^ scales[B].sign) - scales[B].sign);
        let other = subgroupShuffleXor(own, 1u);
        let low = (own & 0xffffu) | (other << 16u);
        let high = (other >> 16u) | (own & 0xffff0000u);
        let at = ((t / 4u) * ROWS + R) * V_BLOCKS + B;
        scratch[at][lane & 3u] = select(low, high, (lane & 1u) != 0u);
    }
#end
#end
}
