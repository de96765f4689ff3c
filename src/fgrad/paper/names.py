"""What readers are shown for the names that configurations use, the same in figures and tables."""

FUNCTION_LABELS = {
    "sphere": "Sphere",
    "rosenbrock": "Rosenbrock",
    "styblinski-tang": "Styblinski–Tang",
    "plane": "Plane",
    "ackley": "Ackley",
    "beale": "Beale",
    "egg-crate": "Egg crate",
    "goldstein-price": "Goldstein–Price",
    "levy-montalvo": "Levy–Montalvo",
    "three-hump-camel": "Three-hump camel",
}
NETWORK_LABELS = {
    "fc": "FC",
    "lenet5": "LeNet5",
    "resnet18": "ResNet18",
    "vit": "ViT",
    "mlpmixer": "MLP-Mixer",
    "mnist": "MNIST",
    "mnist5k": "MNIST, 5,000 digits",
    "fashion-mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "svhn": "SVHN",
}
"""Models and data sets."""
