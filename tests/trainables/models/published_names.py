"""Names and shapes of all tensors of a published checkpoint with 100 classes, written from the published architecture.

Source: github.com/HobbitLong/RepDistiller, commit b84f547, folder models.
"""

Shapes = dict[str, tuple[int, ...]]
CLASSES = 100


def shapes_of(network: str) -> Shapes:
    """The tensors of a network by its published name, such as ``wrn_16_2``."""
    if network.startswith("resnet"):
        depth, _, wide = network.removeprefix("resnet").partition("x")
        return _resnet(int(depth), *((32, (64, 128, 256)) if wide else (16, (16, 32, 64))))
    if network.startswith("wrn"):
        depth, width = network.split("_")[1:]
        return _wide_resnet(int(depth), int(width))
    if network.startswith("vgg"):
        return _vgg(int(network.removeprefix("vgg")))
    return {"MobileNetV2": _mobile_half, "ShuffleV1": _shuffle_v1, "ShuffleV2": _shuffle_v2, "ResNet50": _resnet50}[
        network
    ]()


def _conv(name: str, inputs: int, outputs: int, kernel: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, kernel, kernel)}


def _bn(name: str, channels: int) -> Shapes:
    each = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.num_batches_tracked": (), **{f"{name}.{tensor}": (channels,) for tensor in each}}


def _linear(name: str, inputs: int) -> Shapes:
    return {f"{name}.weight": (CLASSES, inputs), f"{name}.bias": (CLASSES,)}


def _resnet(depth: int, stem: int, channels: tuple[int, ...]) -> Shapes:
    shapes = {**_conv("conv1", 3, stem, 3), **_bn("bn1", stem), **_linear("fc", channels[-1])}
    inputs = stem
    for layer, outputs in enumerate(channels, start=1):
        for block in range((depth - 2) // 6):
            at = f"layer{layer}.{block}"
            shapes |= _conv(f"{at}.conv1", inputs, outputs, 3) | _bn(f"{at}.bn1", outputs)
            shapes |= _conv(f"{at}.conv2", outputs, outputs, 3) | _bn(f"{at}.bn2", outputs)
            if inputs != outputs:
                shapes |= _conv(f"{at}.downsample.0", inputs, outputs, 1) | _bn(f"{at}.downsample.1", outputs)
            inputs = outputs
    return shapes


def _resnet50() -> Shapes:
    shapes = {**_conv("conv1", 3, 64, 3), **_bn("bn1", 64), **_linear("linear", 2048)}
    inputs = 64
    for layer, (blocks, inside) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), start=1):
        for block in range(blocks):
            at = f"layer{layer}.{block}"
            shapes |= _conv(f"{at}.conv1", inputs, inside, 1) | _bn(f"{at}.bn1", inside)
            shapes |= _conv(f"{at}.conv2", inside, inside, 3) | _bn(f"{at}.bn2", inside)
            shapes |= _conv(f"{at}.conv3", inside, 4 * inside, 1) | _bn(f"{at}.bn3", 4 * inside)
            if block == 0:
                shapes |= _conv(f"{at}.shortcut.0", inputs, 4 * inside, 1) | _bn(f"{at}.shortcut.1", 4 * inside)
            inputs = 4 * inside
    return shapes


def _wide_resnet(depth: int, width: int) -> Shapes:
    shapes = {**_conv("conv1", 3, 16, 3), **_bn("bn1", 64 * width), **_linear("fc", 64 * width)}
    inputs = 16
    for stage, outputs in enumerate((16 * width, 32 * width, 64 * width), start=1):
        for block in range((depth - 4) // 6):
            at = f"block{stage}.layer.{block}"
            shapes |= _bn(f"{at}.bn1", inputs) | _conv(f"{at}.conv1", inputs, outputs, 3)
            shapes |= _bn(f"{at}.bn2", outputs) | _conv(f"{at}.conv2", outputs, outputs, 3)
            if inputs != outputs:
                shapes |= _conv(f"{at}.convShortcut", inputs, outputs, 1)
            inputs = outputs
    return shapes


def _vgg(depth: int) -> Shapes:
    convolutions = {8: "11111", 11: "11222", 13: "22222", 16: "22333", 19: "22444"}[depth]
    shapes = _linear("classifier", 512)
    inputs = 3
    for block, outputs in enumerate((64, 128, 256, 512, 512)):
        for index in range(int(convolutions[block])):
            at = f"block{block}.{3 * index}"  # convolution, normalisation, rectifier
            shapes |= _conv(at, inputs, outputs, 3) | {f"{at}.bias": (outputs,)}
            shapes |= _bn(f"block{block}.{3 * index + 1}", outputs)
            inputs = outputs
    return shapes


def _mobile_half() -> Shapes:
    shapes = {**_conv("conv1.0", 3, 16, 3), **_bn("conv1.1", 16), **_linear("classifier.0", 1280)}
    shapes |= _conv("conv2.0", 160, 1280, 1) | _bn("conv2.1", 1280)
    inputs = 16
    for stage, (outputs, blocks) in enumerate(((8, 1), (12, 2), (16, 3), (32, 4), (48, 3), (80, 3), (160, 1))):
        for block in range(blocks):
            at, inside = f"blocks.{stage}.{block}.conv", inputs * (6 if stage else 1)
            shapes |= _conv(f"{at}.0", inputs, inside, 1) | _bn(f"{at}.1", inside)
            shapes |= _conv(f"{at}.3", 1, inside, 3) | _bn(f"{at}.4", inside)
            shapes |= _conv(f"{at}.6", inside, outputs, 1) | _bn(f"{at}.7", outputs)
            inputs = outputs
    return shapes


def _shuffle_v1() -> Shapes:
    shapes = {**_conv("conv1", 3, 24, 1), **_bn("bn1", 24), **_linear("linear", 960)}
    inputs = 24
    for layer, (total, blocks) in enumerate(((240, 4), (480, 8), (960, 4)), start=1):
        for block in range(blocks):
            outputs = total - inputs if block == 0 else total  # the first is set beside its input
            at, inside = f"layer{layer}.{block}", outputs // 4
            shapes |= _conv(f"{at}.conv1", inputs // (1 if inputs == 24 else 3), inside, 1) | _bn(f"{at}.bn1", inside)
            shapes |= _conv(f"{at}.conv2", 1, inside, 3) | _bn(f"{at}.bn2", inside)
            shapes |= _conv(f"{at}.conv3", inside // 3, outputs, 1) | _bn(f"{at}.bn3", outputs)
            inputs = total
    return shapes


def _shuffle_v2() -> Shapes:
    shapes = {**_conv("conv1", 3, 24, 1), **_bn("bn1", 24), **_linear("linear", 1024)}
    shapes |= _conv("conv2", 464, 1024, 1) | _bn("bn2", 1024)
    inputs = 24
    for layer, (outputs, blocks) in enumerate(((116, 4), (232, 8), (464, 4)), start=1):
        half = outputs // 2
        at = f"layer{layer}.0"
        shapes |= _conv(f"{at}.conv1", 1, inputs, 3) | _bn(f"{at}.bn1", inputs)
        shapes |= _conv(f"{at}.conv2", inputs, half, 1) | _bn(f"{at}.bn2", half)
        shapes |= _conv(f"{at}.conv3", inputs, half, 1) | _bn(f"{at}.bn3", half)
        shapes |= _conv(f"{at}.conv4", 1, half, 3) | _bn(f"{at}.bn4", half)
        shapes |= _conv(f"{at}.conv5", half, half, 1) | _bn(f"{at}.bn5", half)
        for block in range(1, blocks):
            at = f"layer{layer}.{block}"
            for index, channels, kernel in ((1, half, 1), (2, 1, 3), (3, half, 1)):
                shapes |= _conv(f"{at}.conv{index}", channels, half, kernel) | _bn(f"{at}.bn{index}", half)
        inputs = outputs
    return shapes
