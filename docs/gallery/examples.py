"""A short example of every public block, by its name; the code ends with a built `model`, whose diagram the page shows.

A test compares the names with the blocks that `deepkit` exports.
"""

EXAMPLES = {
    "Sequential": """
        net = dk.Sequential([
            dk.ConvStack(16),
            layers.Dropout(0.2),
            dk.Classifier(10, pool="avg"),
        ])
        model = net.build((28, 28, 1))
    """,
    "Functional": """
        net = dk.Functional(
            inputs={
                "image": dk.Input((28, 28, 1)),
                "age": dk.Input((1,)),
            },
            nodes={
                "pixels": ("image", dk.MLP([32])),
                "years": ("age", dk.MLP([32])),
                "label": (
                    ["pixels", "years"],
                    [dk.Merge(), dk.Classifier(2)],
                ),
            },
            outputs="label",
        )
        model = net.build()
    """,
    "Input": """
        net = dk.Sequential([
            dk.Input((None,), dtype="int32"),
            layers.Embedding(1000, 16),
            dk.Classifier(2, pool="avg"),
        ])
        model = net.build()  # needs no shape
    """,
    "Shared": """
        tower = dk.Shared(dk.MLP([64]), name="tower")
        net = dk.Functional(
            inputs={
                "left": dk.Input((100,)),
                "right": dk.Input((100,)),
            },
            nodes={
                "a": ("left", tower),
                "b": ("right", tower),
                "both": (["a", "b"], dk.Merge("add")),
            },
            outputs="both",
        )
        model = net.build()  # one set of weights
    """,
    "Pattern": """
        net = dk.from_pattern(
            "(CONV-RELU-POOL)*N-FC-SOFTMAX",
            N=2, filters=[16, 32], num_classes=10,
        )
        model = net.build((28, 28, 1))
    """,
    "Repeat": """
        unit = dk.Residual([
            dk.ConvBlock(16),
            dk.ConvBlock(16, activation=None),
        ])
        stage = dk.Repeat(unit, num_repeats=3)
        model = stage.build((32, 32, 16))
    """,
    "Parallel": """
        branches = dk.Parallel({
            "1x1": dk.ConvBlock(16, kernel_size=1),
            "3x3": dk.ConvBlock(16),
            "input": [],  # the input itself
        })
        model = branches.build((28, 28, 32))
    """,
    "Merge": """
        net = dk.Functional(
            inputs={
                "image": dk.Input((64,)),
                "question": dk.Input((256,)),
            },
            nodes={
                "product": (
                    ["image", "question"],
                    dk.Merge("multiply"),
                ),
            },
            outputs="product",
        )
        model = net.build()  # 64 projected to 256
    """,
    "ConvBlock": """
        block = dk.ConvBlock(16, kernel_size=5)
        model = block.build((28, 28, 1))
    """,
    "ConvStack": """
        block = dk.ConvStack(32, num_convs=2)
        model = block.build((28, 28, 1))
    """,
    "SeparableConvBlock": """
        block = dk.SeparableConvBlock(64, strides=2)
        model = block.build((56, 56, 32))
    """,
    "SqueezeExcitation": """
        block = dk.SqueezeExcitation(ratio=16)
        model = block.build((28, 28, 64))
    """,
    "MLP": """
        block = dk.MLP([300, 100], dropout=0.5)
        model = block.build((28, 28, 1))
    """,
    "Residual": """
        block = dk.Residual([
            dk.ConvBlock(32, strides=2),
            dk.ConvBlock(32, activation=None),
        ])
        model = block.build((28, 28, 16))
    """,
    "Bottleneck": """
        block = dk.Bottleneck(16)  # returns 4 x 16
        model = block.build((28, 28, 64))
    """,
    "DenselyConnected": """
        layer = dk.ConvBlock(
            12, order="norm-activation-conv"
        )
        net = dk.DenselyConnected(layer, num_repeats=2)
        model = net.build((32, 32, 16))
    """,
    "Transition": """
        block = dk.Transition(compression=0.5)
        model = block.build((32, 32, 52))
    """,
    "Highway": """
        block = dk.Highway()  # H is a dense layer
        model = block.build((50,))
    """,
    "Recurrent": """
        block = dk.Recurrent("gru", 64, num_layers=2)
        model = block.build((None, 32))
    """,
    "BiLSTM": """
        block = dk.BiLSTM(64)
        model = block.build((None, 32))
    """,
    "Text": """
        net = dk.Sequential([
            dk.Text(1000),  # from strings to ids
            layers.Embedding(1000, 8, mask_zero=True),
            dk.BiLSTM(8),
        ])
        model = net.build()
    """,
    "TableEncoder": """
        flats = {
            "area": [50.0, None, 120.0, 75.0],
            "city": ["Oslo", "Rome", "Oslo", "Rome"],
            "price": [210.5, 250.0, 400.5, 199.0],
        }
        data = dk.data.from_table(
            flats, target="price", verbose=False
        )
        net = dk.Sequential([
            dk.TableEncoder(), dk.Regressor(1),
        ])
        model = dk.fit(net, data, verbose=0).model
    """,
    "Attention": """
        net = dk.Functional(
            inputs={
                "query": dk.Input((32,)),
                "memory": dk.Input((None, 64)),
            },
            nodes={
                "mean": (
                    ["query", "memory"],
                    dk.Attention("additive"),
                ),
            },
            outputs="mean",
        )
        model = net.build()
    """,
    "MultiHeadAttention": """
        block = dk.MultiHeadAttention(8, causal=True)
        model = block.build((None, 512))
    """,
    "TransformerEncoder": """
        net = dk.Sequential([
            dk.layers.PositionEmbedding(),
            dk.TransformerEncoder(4),
        ])
        model = net.build((None, 64))
    """,
    "TransformerDecoder": """
        block = dk.TransformerDecoder(4, num_layers=2)
        model = block.build((None, 64))
    """,
    "Seq2Seq": """
        net = dk.Seq2Seq(
            source=dk.Text(1000),
            target=dk.Text(1000),
            embedding_dim=32,
            encoder=dk.BiLSTM(32),
            decoder=dk.Recurrent("lstm", 64),
            attention="additive",
        )
        model = net.build()
    """,
    "LanguageModel": """
        net = dk.LanguageModel(
            dk.Text(100, split="character"),
            embedding_dim=32,
            decoder=dk.TransformerDecoder(4),
        )
        model = net.build()
    """,
    "Captioner": """
        net = dk.Captioner(
            [dk.ConvStack(16), dk.ConvStack(32)],
            text=dk.Text(1000),
            embedding_dim=32,
            decoder=dk.Recurrent("lstm", 64),
        )
        model = net.build((32, 32, 3))
    """,
    "RecurrentAttention": """
        net = dk.RecurrentAttention(
            10,
            num_glimpses=6,
            glimpse_size=8,
        )
        model = net.build((28, 28, 1))
    """,
    "Classifier": """
        head = dk.Classifier(10, pool="avg")
        model = head.build((7, 7, 64))
    """,
    "Regressor": """
        head = dk.Regressor(1)
        model = head.build((64,))
    """,
    "Perceptron": """
        net = dk.Sequential([
            dk.layers.QuadraticFeatures(),
            dk.Perceptron(),
        ])
        model = net.build((2,))
    """,
    "GaussianHead": """
        head = dk.GaussianHead(20)
        model = head.build((500,))
    """,
    "Autoencoder": """
        net = dk.Autoencoder(
            dk.MLP([128, 16]),
            corruption=dk.MaskingNoise(0.25),
            activation="sigmoid",
        )
        model = net.build((28, 28, 1))
    """,
    "VAE": """
        net = dk.VAE(
            encoder=dk.MLP([500]),
            latent_dim=20,
            decoder=dk.MLP([500]),
        )
        model = net.build((28, 28, 1))
    """,
    "GAN": """
        net = dk.GAN(
            generator=[dk.MLP([32]), dk.Regressor(2)],
            discriminator=dk.MLP([32]),
            latent_dim=4,
        )
        model = net.build((2,))
    """,
    "RBM": """
        net = dk.RBM(500, num_gibbs_steps=10)
        model = net.build((28, 28, 1))
    """,
    "BoltzmannMachine": """
        net = dk.BoltzmannMachine(4)
        model = net.build((12,))
    """,
    "DBN": """
        net = dk.DBN([500, 500, 2000])
        model = net.build((28, 28, 1))
    """,
    "HelmholtzMachine": """
        net = dk.HelmholtzMachine([8, 1])
        model = net.build((4, 4))
    """,
    "Hopfield": """
        net = dk.Hopfield(400)
        model = net.build((20, 20))
    """,
    "DQN": """
        net = dk.DQN([
            dk.ConvBlock(16),
            dk.MLP([64]),
            dk.Regressor(3),
        ])
        model = net.build((10, 10, 1))
    """,
    "Reinforce": """
        net = dk.Reinforce(
            [dk.MLP([32]), dk.Classifier(2)],
            baseline=[dk.MLP([32]), dk.Regressor(1)],
        )
        model = net.build((4,))
    """,
    "ActorCritic": """
        net = dk.ActorCritic(
            dk.Classifier(2),
            dk.Regressor(1),
            shared=dk.MLP([64]),
        )
        model = net.build((4,))
    """,
}
