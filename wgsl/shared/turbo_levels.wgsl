// Levels, thresholds and shifts of the turbo types (turbo_quant::turbo::tables), computed by turbo_quant::turbo::levels.
//
// Components are those of groups of 16, 32, 64 and 128 values.
// Words: POSITIVE, the number of positive levels: 8 of turbo4, 4 of turbo3, 2 of turbo2.

#if POSITIVE == 8
const SHIFT = vec4<i32>(8, 8, 8, 9);
const LEVELS = array<vec4<i32>, 8>(
    vec4<i32>(6, 6, 5, 5),
    vec4<i32>(18, 18, 15, 15),
    vec4<i32>(30, 30, 25, 25),
    vec4<i32>(43, 43, 36, 36),
    vec4<i32>(57, 57, 48, 48),
    vec4<i32>(72, 73, 62, 62),
    vec4<i32>(90, 92, 79, 79),
    vec4<i32>(115, 119, 104, 104),
);
const THRESHOLDS = array<vec4<f32>, 7>(
    vec4<f32>(0.06382272f, 0.06661944f, 0.06879871f, 0.0685871f),
    vec4<f32>(0.25529087f, 0.26647776f, 0.27519485f, 0.2743484f),
    vec4<f32>(0.5904709f, 0.61634547f, 0.64f, 0.63803154f),
    vec4<f32>(1.1080333f, 1.1565875f, 1.2136092f, 1.2098765f),
    vec4<f32>(1.8438781f, 1.9546329f, 2.081161f, 2.07476f),
    vec4<f32>(2.9079225f, 3.1488094f, 3.419468f, 3.4089506f),
    vec4<f32>(4.65651f, 5.1492434f, 5.76f, 5.742284f),
);
#endif
#if POSITIVE == 4
const SHIFT = vec4<i32>(8, 8, 8, 9);
const LEVELS = array<vec4<i32>, 4>(
    vec4<i32>(12, 14, 10, 10),
    vec4<i32>(37, 43, 31, 31),
    vec4<i32>(65, 76, 55, 55),
    vec4<i32>(101, 120, 88, 88),
);
const THRESHOLDS = array<vec4<f32>, 3>(
    vec4<f32>(0.23536909f, 0.24307719f, 0.2515314f, 0.2509318f),
    vec4<f32>(1.0199f, 1.0594693f, 1.1066782f, 1.1040403f),
    vec4<f32>(2.7013037f, 2.8741314f, 3.0598247f, 3.052531f),
);
#endif
#if POSITIVE == 2
const SHIFT = vec4<i32>(8, 9, 9, 10);
const LEVELS = array<vec4<i32>, 2>(
    vec4<i32>(30, 30, 21, 33),
    vec4<i32>(98, 99, 70, 110),
);
const THRESHOLDS = array<vec4<f32>, 1>(
    vec4<f32>(0.9193003f, 0.9416591f, 0.96262014f, 0.9637572f),
);
#endif
