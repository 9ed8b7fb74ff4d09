"""The papers that the recipes reproduce or build on, sorted by year.

A constant is the first author's surname and the year; a second paper of the same author and year ends in `B`, a
chapter of a book in its subject. A recipe refers to its paper as `PAPER = papers.HE_2016`.
"""

from __future__ import annotations

from deepkit.recipe import Paper

MCCULLOCH_1943 = Paper(
    title="A Logical Calculus of the Ideas Immanent in Nervous Activity",
    authors=("Warren S. McCulloch", "Walter Pitts"),
    year=1943,
    venue="Bulletin of Mathematical Biophysics 5, pp. 115-133",
    url="https://doi.org/10.1007/BF02478259",
)
"""Threshold units, and the logical functions that networks of them compute."""

PETERSON_1952 = Paper(
    title="Control Methods Used in a Study of the Vowels",
    authors=("Gordon E. Peterson", "Harold L. Barney"),
    year=1952,
    venue="Journal of the Acoustical Society of America 24(2), pp. 175-184",
    url="https://doi.org/10.1121/1.1906875",
)
"""Formants of ten vowels of 76 speakers."""

COX_1958 = Paper(
    title="The Regression Analysis of Binary Sequences",
    authors=("David R. Cox",),
    year=1958,
    venue="Journal of the Royal Statistical Society, Series B 20(2), pp. 215-242",
)
"""Logistic regression."""

ROSENBLATT_1958 = Paper(
    title="The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain",
    authors=("Frank Rosenblatt",),
    year=1958,
    venue="Psychological Review 65(6), pp. 386-408",
    url="https://doi.org/10.1037/h0042519",
)
"""The perceptron, a threshold unit that learns from its mistakes."""

ROSENBROCK_1960 = Paper(
    title="An Automatic Method for Finding the Greatest or Least Value of a Function",
    authors=("Howard H. Rosenbrock",),
    year=1960,
    venue="The Computer Journal 3(3), pp. 175-184",
    url="https://doi.org/10.1093/comjnl/3.3.175",
)
"""A curved valley, on which optimizers are compared."""

NOVIKOFF_1962 = Paper(
    title="On Convergence Proofs on Perceptrons",
    authors=("Albert B. J. Novikoff",),
    year=1962,
    venue="Symposium on the Mathematical Theory of Automata, vol. 12, pp. 615-622. Polytechnic Institute of Brooklyn",
)
"""The bound on the updates of a perceptron whose classes are linearly separable."""

MINSKY_1969 = Paper(
    title="Perceptrons: An Introduction to Computational Geometry",
    authors=("Marvin Minsky", "Seymour Papert"),
    year=1969,
    venue="MIT Press",
)
"""The limits of one layer of threshold units, which cannot compute XOR."""

HOPFIELD_1982 = Paper(
    title="Neural Networks and Physical Systems with Emergent Collective Computational Abilities",
    authors=("John J. Hopfield",),
    year=1982,
    venue="Proceedings of the National Academy of Sciences 79(8), pp. 2554-2558",
    url="https://doi.org/10.1073/pnas.79.8.2554",
)
"""Hopfield networks: memories that recall patterns by descending an energy."""

BAUR_1983 = Paper(
    title="The Complexity of Partial Derivatives",
    authors=("Walter Baur", "Volker Strassen"),
    year=1983,
    venue="Theoretical Computer Science 22(3), pp. 317-330",
    url="https://doi.org/10.1016/0304-3975(83)90110-X",
)
"""The cost of a gradient: a constant factor times that of the function."""

ACKLEY_1985 = Paper(
    title="A Learning Algorithm for Boltzmann Machines",
    authors=("David H. Ackley", "Geoffrey E. Hinton", "Terrence J. Sejnowski"),
    year=1985,
    venue="Cognitive Science 9(1), pp. 147-169",
    url="https://doi.org/10.1207/s15516709cog0901_7",
)
"""Boltzmann machines, with encoder networks such as 4-2-4 as the first experiment."""

AMIT_1985 = Paper(
    title="Storing Infinite Numbers of Patterns in a Spin-Glass Model of Neural Networks",
    authors=("Daniel J. Amit", "Hanoch Gutfreund", "Haim Sompolinsky"),
    year=1985,
    venue="Physical Review Letters 55(14), pp. 1530-1533",
    url="https://doi.org/10.1103/PhysRevLett.55.1530",
)
"""The critical load of a Hopfield network: 0.138 random patterns for each unit."""

RUMELHART_1986 = Paper(
    title="Learning Internal Representations by Error Propagation",
    authors=("David E. Rumelhart", "Geoffrey E. Hinton", "Ronald J. Williams"),
    year=1986,
    venue="Parallel Distributed Processing, vol. 1, chapter 8, pp. 318-362. MIT Press",
)
"""Backpropagation through hidden layers, with XOR as the first example."""

SMOLENSKY_1986 = Paper(
    title="Information Processing in Dynamical Systems: Foundations of Harmony Theory",
    authors=("Paul Smolensky",),
    year=1986,
    venue="Parallel Distributed Processing, vol. 1, pp. 194-281. MIT Press",
)
"""Restricted Boltzmann machines."""

BALDI_1989 = Paper(
    title="Neural Networks and Principal Component Analysis: Learning from Examples without Local Minima",
    authors=("Pierre Baldi", "Kurt Hornik"),
    year=1989,
    venue="Neural Networks 2(1), pp. 53-58",
    url="https://doi.org/10.1016/0893-6080(89)90014-2",
)
"""The error of a linear autoencoder has one minimum, the space of the principal components, and otherwise saddles."""

CYBENKO_1989 = Paper(
    title="Approximation by Superpositions of a Sigmoidal Function",
    authors=("George Cybenko",),
    year=1989,
    venue="Mathematics of Control, Signals and Systems 2(4), pp. 303-314",
    url="https://doi.org/10.1007/BF02551274",
)
"""One hidden layer of sigmoid units approximates any continuous function."""

HORNIK_1991 = Paper(
    title="Approximation Capabilities of Multilayer Feedforward Networks",
    authors=("Kurt Hornik",),
    year=1991,
    venue="Neural Networks 4(2), pp. 251-257",
    url="https://doi.org/10.1016/0893-6080(91)90009-T",
)
"""The same for any bounded activation that is not constant."""

WILLIAMS_1992 = Paper(
    title="Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning",
    authors=("Ronald J. Williams",),
    year=1992,
    venue="Machine Learning 8(3-4), pp. 229-256",
    url="https://doi.org/10.1007/BF00992696",
)
"""REINFORCE: the score-function estimator of a gradient."""

WATKINS_1992 = Paper(
    title="Q-Learning",
    authors=("Christopher J. C. H. Watkins", "Peter Dayan"),
    year=1992,
    venue="Machine Learning 8(3-4), pp. 279-292",
    url="https://doi.org/10.1007/BF00992698",
)
"""Q-learning, and a proof that it converges."""

BENGIO_1994 = Paper(
    title="Learning Long-Term Dependencies with Gradient Descent is Difficult",
    authors=("Yoshua Bengio", "Patrice Simard", "Paolo Frasconi"),
    year=1994,
    venue="IEEE Transactions on Neural Networks 5(2), pp. 157-166",
    url="https://doi.org/10.1109/72.279181",
)
"""The gradient of a recurrent network vanishes or explodes with the lag."""

DAYAN_1995 = Paper(
    title="The Helmholtz Machine",
    authors=("Peter Dayan", "Geoffrey E. Hinton", "Radford M. Neal", "Richard S. Zemel"),
    year=1995,
    venue="Neural Computation 7(5), pp. 889-904",
    url="https://doi.org/10.1162/neco.1995.7.5.889",
)
"""The Helmholtz machine: a generative and a recognition model."""

HINTON_1995 = Paper(
    title='The "Wake-Sleep" Algorithm for Unsupervised Neural Networks',
    authors=("Geoffrey E. Hinton", "Peter Dayan", "Brendan J. Frey", "Radford M. Neal"),
    year=1995,
    venue="Science 268, pp. 1158-1161",
    url="https://doi.org/10.1126/science.7761831",
)
"""Wake-sleep, the learning algorithm of Helmholtz machines, with bars as an example."""

HOCHREITER_1997 = Paper(
    title="Long Short-Term Memory",
    authors=("Sepp Hochreiter", "Jürgen Schmidhuber"),
    year=1997,
    venue="Neural Computation 9(8), pp. 1735-1780",
    url="https://doi.org/10.1162/neco.1997.9.8.1735",
)
"""LSTM, and tasks with long time lags such as the adding problem."""

MITCHELL_1997 = Paper(
    title="Artificial Neural Networks",
    authors=("Tom M. Mitchell",),
    year=1997,
    venue="Machine Learning, chapter 4. McGraw-Hill",
    kind="chapter",
)
"""Backpropagation step by step, and the hidden codes of an 8-3-8 network."""

SCHUSTER_1997 = Paper(
    title="Bidirectional Recurrent Neural Networks",
    authors=("Mike Schuster", "Kuldip K. Paliwal"),
    year=1997,
    venue="IEEE Transactions on Signal Processing 45(11), pp. 2673-2681",
    url="https://doi.org/10.1109/78.650093",
)
"""Two recurrent networks, one from each end of a sequence."""

LECUN_1998 = Paper(
    title="Gradient-Based Learning Applied to Document Recognition",
    authors=("Yann LeCun", "Léon Bottou", "Yoshua Bengio", "Patrick Haffner"),
    year=1998,
    venue="Proceedings of the IEEE 86(11), pp. 2278-2324",
    url="https://doi.org/10.1109/5.726791",
)
"""LeNet-5 and MNIST."""

WESTON_1999 = Paper(
    title="Support Vector Machines for Multi-Class Pattern Recognition",
    authors=("Jason Weston", "Chris Watkins"),
    year=1999,
    venue="European Symposium on Artificial Neural Networks (ESANN), pp. 219-224",
)
"""The hinge loss that sums over the wrong classes."""

HINTON_2002 = Paper(
    title="Training Products of Experts by Minimizing Contrastive Divergence",
    authors=("Geoffrey E. Hinton",),
    year=2002,
    venue="Neural Computation 14(8), pp. 1771-1800",
    url="https://doi.org/10.1162/089976602760128018",
)
"""Contrastive divergence."""

BENGIO_2003 = Paper(
    title="A Neural Probabilistic Language Model",
    authors=("Yoshua Bengio", "Réjean Ducharme", "Pascal Vincent", "Christian Jauvin"),
    year=2003,
    venue="Journal of Machine Learning Research 3, pp. 1137-1155",
)
"""Language models that are networks: embeddings of words, and a probability for each next word."""

EVEN_DAR_2003 = Paper(
    title="Learning Rates for Q-learning",
    authors=("Eyal Even-Dar", "Yishay Mansour"),
    year=2003,
    venue="Journal of Machine Learning Research 5, pp. 1-25",
    url="https://www.jmlr.org/papers/v5/evendar03a.html",
)
"""Bounds on the steps of Q-learning for two kinds of step sizes."""

SIMARD_2003 = Paper(
    title="Best Practices for Convolutional Neural Networks Applied to Visual Document Analysis",
    authors=("Patrice Y. Simard", "Dave Steinkraus", "John C. Platt"),
    year=2003,
    venue="International Conference on Document Analysis and Recognition (ICDAR), pp. 958-962",
)
"""Affine and elastic distortions of handwritten digits."""

HINTON_2006 = Paper(
    title="Reducing the Dimensionality of Data with Neural Networks",
    authors=("Geoffrey E. Hinton", "Ruslan R. Salakhutdinov"),
    year=2006,
    venue="Science 313(5786), pp. 504-507",
    url="https://doi.org/10.1126/science.1127647",
)
"""Deep autoencoders, pretrained layer by layer."""

HINTON_2006B = Paper(
    title="A Fast Learning Algorithm for Deep Belief Nets",
    authors=("Geoffrey E. Hinton", "Simon Osindero", "Yee-Whye Teh"),
    year=2006,
    venue="Neural Computation 18(7), pp. 1527-1554",
    url="https://doi.org/10.1162/neco.2006.18.7.1527",
)
"""Deep belief networks, trained greedily."""

VINCENT_2008 = Paper(
    title="Extracting and Composing Robust Features with Denoising Autoencoders",
    authors=("Pascal Vincent", "Hugo Larochelle", "Yoshua Bengio", "Pierre-Antoine Manzagol"),
    year=2008,
    venue="International Conference on Machine Learning (ICML), pp. 1096-1103",
)
"""Denoising autoencoders."""

GRIEWANK_2008 = Paper(
    title="Evaluating Derivatives: Principles and Techniques of Algorithmic Differentiation, second edition",
    authors=("Andreas Griewank", "Andrea Walther"),
    year=2008,
    venue="SIAM",
    url="https://doi.org/10.1137/1.9780898717761",
)
"""The textbook of automatic differentiation."""

SALAKHUTDINOV_2008 = Paper(
    title="On the Quantitative Analysis of Deep Belief Networks",
    authors=("Ruslan Salakhutdinov", "Iain Murray"),
    year=2008,
    venue="International Conference on Machine Learning, pp. 872-879",
    url="https://doi.org/10.1145/1390156.1390266",
)
"""Annealed importance sampling of partition functions, and binarized MNIST."""

RUSSELL_2010 = Paper(
    title="Making Complex Decisions",
    authors=("Stuart Russell", "Peter Norvig"),
    year=2010,
    venue="Artificial Intelligence: A Modern Approach, 3rd edition, chapter 17. Prentice Hall",
    kind="chapter",
)
"""Decision processes and the 4x3 world, with its values."""

VINCENT_2010 = Paper(
    title="Stacked Denoising Autoencoders: Learning Useful Representations in a Deep Network with a Local Denoising "
    "Criterion",
    authors=("Pascal Vincent", "Hugo Larochelle", "Isabelle Lajoie", "Yoshua Bengio", "Pierre-Antoine Manzagol"),
    year=2010,
    venue="Journal of Machine Learning Research 11, pp. 3371-3408",
    url="https://jmlr.org/papers/v11/vincent10a.html",
)
"""Deep networks pretrained by stacked denoising autoencoders."""

VINCENT_2011 = Paper(
    title="A Connection Between Score Matching and Denoising Autoencoders",
    authors=("Pascal Vincent",),
    year=2011,
    venue="Neural Computation 23(7), pp. 1661-1674",
    url="https://doi.org/10.1162/NECO_a_00142",
)
"""Denoising with Gaussian noise is a form of score matching."""

MAAS_2011 = Paper(
    title="Learning Word Vectors for Sentiment Analysis",
    authors=("Andrew L. Maas", "Raymond E. Daly", "Peter T. Pham", "Dan Huang", "Andrew Y. Ng", "Christopher Potts"),
    year=2011,
    venue="Annual Meeting of the Association for Computational Linguistics (ACL), pp. 142-150",
)
"""The IMDB film reviews."""

SUTSKEVER_2011 = Paper(
    title="Generating Text with Recurrent Neural Networks",
    authors=("Ilya Sutskever", "James Martens", "Geoffrey Hinton"),
    year=2011,
    venue="International Conference on Machine Learning, pp. 1017-1024",
)
"""A recurrent network that writes text character by character."""

KRIZHEVSKY_2012 = Paper(
    title="ImageNet Classification with Deep Convolutional Neural Networks",
    authors=("Alex Krizhevsky", "Ilya Sutskever", "Geoffrey E. Hinton"),
    year=2012,
    venue="Advances in Neural Information Processing Systems (NIPS) 25",
)
"""AlexNet."""

MNIH_2013 = Paper(
    title="Playing Atari with Deep Reinforcement Learning",
    authors=(
        "Volodymyr Mnih",
        "Koray Kavukcuoglu",
        "David Silver",
        "Alex Graves",
        "Ioannis Antonoglou",
        "Daan Wierstra",
        "Martin Riedmiller",
    ),
    year=2013,
    venue="NIPS Deep Learning Workshop",
    url="https://arxiv.org/abs/1312.5602",
)
"""The first deep Q-network: Atari games from pixels, with experience replay."""

ALAIN_2014 = Paper(
    title="What Regularized Auto-Encoders Learn from the Data-Generating Distribution",
    authors=("Guillaume Alain", "Yoshua Bengio"),
    year=2014,
    venue="Journal of Machine Learning Research 15, pp. 3743-3773",
    url="https://jmlr.org/papers/v15/alain14a.html",
)
"""The reconstruction of an autoencoder follows the gradient of the log density of the data."""

DAUPHIN_2014 = Paper(
    title="Identifying and Attacking the Saddle Point Problem in High-Dimensional Non-Convex Optimization",
    authors=(
        *("Yann Dauphin", "Razvan Pascanu", "Caglar Gulcehre", "Kyunghyun Cho", "Surya Ganguli"),
        "Yoshua Bengio",
    ),
    year=2014,
    venue="Advances in Neural Information Processing Systems (NIPS) 27",
    url="https://arxiv.org/abs/1406.2572",
)
"""Saddles, and the share of negative curvatures at critical points."""

GOODFELLOW_2014 = Paper(
    title="Generative Adversarial Nets",
    authors=(
        *("Ian J. Goodfellow", "Jean Pouget-Abadie", "Mehdi Mirza", "Bing Xu", "David Warde-Farley", "Sherjil Ozair"),
        *("Aaron Courville", "Yoshua Bengio"),
    ),
    year=2014,
    venue="Advances in Neural Information Processing Systems (NIPS) 27",
    url="https://arxiv.org/abs/1406.2661",
)
"""Generative adversarial networks."""

KINGMA_2014 = Paper(
    title="Auto-Encoding Variational Bayes",
    authors=("Diederik P. Kingma", "Max Welling"),
    year=2014,
    venue="International Conference on Learning Representations (ICLR)",
    url="https://arxiv.org/abs/1312.6114",
)
"""Variational autoencoders."""

MNIH_2014 = Paper(
    title="Recurrent Models of Visual Attention",
    authors=("Volodymyr Mnih", "Nicolas Heess", "Alex Graves", "Koray Kavukcuoglu"),
    year=2014,
    venue="Advances in Neural Information Processing Systems (NIPS) 27",
    url="https://arxiv.org/abs/1406.6247",
)
"""Hard attention: a network that learns where to look."""

REZENDE_2014 = Paper(
    title="Stochastic Backpropagation and Approximate Inference in Deep Generative Models",
    authors=("Danilo Jimenez Rezende", "Shakir Mohamed", "Daan Wierstra"),
    year=2014,
    venue="International Conference on Machine Learning (ICML), pp. 1278-1286",
    url="https://arxiv.org/abs/1401.4082",
)
"""Gradients through Gaussian samples, at the same time as variational autoencoders."""

SUTSKEVER_2014 = Paper(
    title="Sequence to Sequence Learning with Neural Networks",
    authors=("Ilya Sutskever", "Oriol Vinyals", "Quoc V. Le"),
    year=2014,
    venue="Advances in Neural Information Processing Systems (NIPS) 27",
    url="https://arxiv.org/abs/1409.3215",
)
"""Encoder-decoder models for translation, without attention."""

ANTOL_2015 = Paper(
    title="VQA: Visual Question Answering",
    authors=(
        "Stanislaw Antol",
        "Aishwarya Agrawal",
        "Jiasen Lu",
        "Margaret Mitchell",
        "Dhruv Batra",
        "C. Lawrence Zitnick",
        "Devi Parikh",
    ),
    year=2015,
    venue="IEEE International Conference on Computer Vision (ICCV), pp. 2425-2433",
    url="https://arxiv.org/abs/1505.00468",
)
"""Answers to free questions about images, and the controls without the image or without the question."""

BAHDANAU_2015 = Paper(
    title="Neural Machine Translation by Jointly Learning to Align and Translate",
    authors=("Dzmitry Bahdanau", "Kyunghyun Cho", "Yoshua Bengio"),
    year=2015,
    venue="International Conference on Learning Representations (ICLR)",
    url="https://arxiv.org/abs/1409.0473",
)
"""Additive attention."""

KINGMA_2015 = Paper(
    title="Adam: A Method for Stochastic Optimization",
    authors=("Diederik P. Kingma", "Jimmy Ba"),
    year=2015,
    venue="International Conference on Learning Representations (ICLR)",
    url="https://arxiv.org/abs/1412.6980",
)
"""Adam."""

LE_2015 = Paper(
    title="A Simple Way to Initialize Recurrent Networks of Rectified Linear Units",
    authors=("Quoc V. Le", "Navdeep Jaitly", "Geoffrey E. Hinton"),
    year=2015,
    venue="arXiv preprint",
    url="https://arxiv.org/abs/1504.00941",
)
"""IRNN: ReLUs and recurrent weights that begin as the identity."""

LUONG_2015 = Paper(
    title="Effective Approaches to Attention-based Neural Machine Translation",
    authors=("Minh-Thang Luong", "Hieu Pham", "Christopher D. Manning"),
    year=2015,
    venue="Conference on Empirical Methods in Natural Language Processing (EMNLP), pp. 1412-1421",
    url="https://arxiv.org/abs/1508.04025",
)
"""Multiplicative attention, applied to the output of the decoder."""

MNIH_2015 = Paper(
    title="Human-Level Control through Deep Reinforcement Learning",
    authors=(
        "Volodymyr Mnih",
        "Koray Kavukcuoglu",
        "David Silver",
        "Andrei A. Rusu",
        "Joel Veness",
        "Marc G. Bellemare",
        "Alex Graves",
        "Martin Riedmiller",
        "Andreas K. Fidjeland",
        "Georg Ostrovski",
        "Stig Petersen",
        "Charles Beattie",
        "Amir Sadik",
        "Ioannis Antonoglou",
        "Helen King",
        "Dharshan Kumaran",
        "Daan Wierstra",
        "Shane Legg",
        "Demis Hassabis",
    ),
    year=2015,
    venue="Nature 518, pp. 529-533",
    url="https://doi.org/10.1038/nature14236",
)
"""The deep Q-network with a target network, on 49 Atari games."""

SIMONYAN_2015 = Paper(
    title="Very Deep Convolutional Networks for Large-Scale Image Recognition",
    authors=("Karen Simonyan", "Andrew Zisserman"),
    year=2015,
    venue="International Conference on Learning Representations (ICLR)",
    url="https://arxiv.org/abs/1409.1556",
)
"""VGG."""

SRIVASTAVA_2015 = Paper(
    title="Training Very Deep Networks",
    authors=("Rupesh Kumar Srivastava", "Klaus Greff", "Jürgen Schmidhuber"),
    year=2015,
    venue="Advances in Neural Information Processing Systems (NIPS) 28",
    url="https://arxiv.org/abs/1507.06228",
)
"""Highway networks, the conference paper."""

SRIVASTAVA_2015B = Paper(
    title="Highway Networks",
    authors=("Rupesh Kumar Srivastava", "Klaus Greff", "Jürgen Schmidhuber"),
    year=2015,
    venue="ICML Deep Learning Workshop",
    url="https://arxiv.org/abs/1505.00387",
)
"""Highway networks, the workshop paper."""

SZEGEDY_2015 = Paper(
    title="Going Deeper with Convolutions",
    authors=(
        *("Christian Szegedy", "Wei Liu", "Yangqing Jia", "Pierre Sermanet", "Scott Reed", "Dragomir Anguelov"),
        *("Dumitru Erhan", "Vincent Vanhoucke", "Andrew Rabinovich"),
    ),
    year=2015,
    venue="IEEE Conference on Computer Vision and Pattern Recognition (CVPR), pp. 1-9",
    url="https://arxiv.org/abs/1409.4842",
)
"""GoogLeNet and its Inception modules."""

XU_2015 = Paper(
    title="Show, Attend and Tell: Neural Image Caption Generation with Visual Attention",
    authors=(
        "Kelvin Xu",
        "Jimmy Lei Ba",
        "Ryan Kiros",
        "Kyunghyun Cho",
        "Aaron Courville",
        "Ruslan Salakhutdinov",
        "Richard S. Zemel",
        "Yoshua Bengio",
    ),
    year=2015,
    venue="International Conference on Machine Learning, PMLR 37, pp. 2048-2057",
    url="https://arxiv.org/abs/1502.03044",
)
"""Captions of images, with soft and with hard attention."""

BURDA_2016 = Paper(
    title="Importance Weighted Autoencoders",
    authors=("Yuri Burda", "Roger Grosse", "Ruslan Salakhutdinov"),
    year=2016,
    venue="International Conference on Learning Representations (ICLR)",
    url="https://arxiv.org/abs/1509.00519",
)
"""A tighter bound for variational autoencoders, from several samples of the code."""

GOODFELLOW_2016_CONVOLUTION = Paper(
    title="Convolutional Networks",
    authors=("Ian Goodfellow", "Yoshua Bengio", "Aaron Courville"),
    year=2016,
    venue="Deep Learning, chapter 9. MIT Press",
    url="https://www.deeplearningbook.org/contents/convnets.html",
    kind="chapter",
)
"""Convolution and pooling in a textbook."""

GOODFELLOW_2016_REGULARIZATION = Paper(
    title="Regularization for Deep Learning",
    authors=("Ian Goodfellow", "Yoshua Bengio", "Aaron Courville"),
    year=2016,
    venue="Deep Learning, chapter 7. MIT Press",
    url="https://www.deeplearningbook.org/contents/regularization.html",
    kind="chapter",
)
"""Penalties, early stopping and other regularizers."""

GOODFELLOW_2016_OPTIMIZATION = Paper(
    title="Optimization for Training Deep Models",
    authors=("Ian Goodfellow", "Yoshua Bengio", "Aaron Courville"),
    year=2016,
    venue="Deep Learning, chapter 8. MIT Press",
    url="https://www.deeplearningbook.org/contents/optimization.html",
    kind="chapter",
)
"""Batches, critical points, optimizers and their learning rates."""

HE_2016 = Paper(
    title="Deep Residual Learning for Image Recognition",
    authors=("Kaiming He", "Xiangyu Zhang", "Shaoqing Ren", "Jian Sun"),
    year=2016,
    venue="IEEE Conference on Computer Vision and Pattern Recognition (CVPR), pp. 770-778",
    url="https://arxiv.org/abs/1512.03385",
)
"""Residual networks."""

HE_2016B = Paper(
    title="Identity Mappings in Deep Residual Networks",
    authors=("Kaiming He", "Xiangyu Zhang", "Shaoqing Ren", "Jian Sun"),
    year=2016,
    venue="European Conference on Computer Vision (ECCV), pp. 630-645",
    url="https://arxiv.org/abs/1603.05027",
)
"""Residual units that begin with normalization and activation."""

SILVER_2016 = Paper(
    title="Mastering the Game of Go with Deep Neural Networks and Tree Search",
    authors=(
        "David Silver", "Aja Huang", "Chris J. Maddison", "Arthur Guez", "Laurent Sifre", "George van den Driessche",
        "Julian Schrittwieser", "Ioannis Antonoglou", "Veda Panneershelvam", "Marc Lanctot", "Sander Dieleman",
        "Dominik Grewe", "John Nham", "Nal Kalchbrenner", "Ilya Sutskever", "Timothy Lillicrap", "Madeleine Leach",
        "Koray Kavukcuoglu", "Thore Graepel", "Demis Hassabis",
    ),
    year=2016,
    venue="Nature 529, pp. 484-489",
    url="https://doi.org/10.1038/nature16961",
)  # fmt: skip
"""AlphaGo: policy and value networks in a tree search."""

ALAIN_2017 = Paper(
    title="Understanding Intermediate Layers Using Linear Classifier Probes",
    authors=("Guillaume Alain", "Yoshua Bengio"),
    year=2017,
    venue="International Conference on Learning Representations (ICLR), workshop track",
    url="https://arxiv.org/abs/1610.01644",
)
"""Linear probes, which measure how well a line separates the classes in the space of a layer."""

HUANG_2017 = Paper(
    title="Densely Connected Convolutional Networks",
    authors=("Gao Huang", "Zhuang Liu", "Laurens van der Maaten", "Kilian Q. Weinberger"),
    year=2017,
    venue="IEEE Conference on Computer Vision and Pattern Recognition (CVPR), pp. 2261-2269",
    url="https://arxiv.org/abs/1608.06993",
)
"""DenseNet."""

LI_2017 = Paper(
    title="Image Classification Pipeline",
    authors=("Fei-Fei Li", "Justin Johnson", "Serena Yeung"),
    year=2017,
    venue="CS231n: Convolutional Neural Networks for Visual Recognition, lecture 2. Stanford University",
    url="http://cs231n.stanford.edu/slides/2017/cs231n_2017_lecture2.pdf",
    kind="lecture",
)
"""Linear classifiers, their templates, and three cases that are hard for them."""

VASWANI_2017 = Paper(
    title="Attention Is All You Need",
    authors=(
        "Ashish Vaswani",
        "Noam Shazeer",
        "Niki Parmar",
        "Jakob Uszkoreit",
        "Llion Jones",
        "Aidan N. Gomez",
        "Łukasz Kaiser",
        "Illia Polosukhin",
    ),
    year=2017,
    venue="Advances in Neural Information Processing Systems 30",
    url="https://arxiv.org/abs/1706.03762",
)
"""The Transformer: a network of attention without recurrence."""

SANTORO_2017 = Paper(
    title="A Simple Neural Network Module for Relational Reasoning",
    authors=(
        "Adam Santoro",
        "David Raposo",
        "David G. T. Barrett",
        "Mateusz Malinowski",
        "Razvan Pascanu",
        "Peter Battaglia",
        "Timothy Lillicrap",
    ),
    year=2017,
    venue="Advances in Neural Information Processing Systems (NeurIPS) 30",
    url="https://arxiv.org/abs/1706.01427",
)
"""Relation networks, and Sort-of-CLEVR: questions about six colored shapes."""

SUHR_2017 = Paper(
    title="A Corpus of Natural Language for Visual Reasoning",
    authors=("Alane Suhr", "Mike Lewis", "James Yeh", "Yoav Artzi"),
    year=2017,
    venue="Annual Meeting of the Association for Computational Linguistics (ACL), vol. 2, pp. 217-223",
    url="https://aclanthology.org/P17-2034",
)
"""NLVR: true and false sentences about rendered images."""

SMITH_2018 = Paper(
    title="Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates",
    authors=("Leslie N. Smith", "Nicholay Topin"),
    year=2018,
    venue="arXiv preprint",
    url="https://arxiv.org/abs/1708.07120",
)
"""The one-cycle learning-rate schedule."""

SUTTON_2018 = Paper(
    title="Reinforcement Learning: An Introduction",
    authors=("Richard S. Sutton", "Andrew G. Barto"),
    year=2018,
    venue="2nd edition. MIT Press",
    url="http://incompleteideas.net/book/the-book-2nd.html",
)
"""The textbook of reinforcement learning: dynamic programming, Q-learning, policy gradients, and models."""

TALLEC_2018 = Paper(
    title="Can Recurrent Neural Networks Warp Time?",
    authors=("Corentin Tallec", "Yann Ollivier"),
    year=2018,
    venue="International Conference on Learning Representations (ICLR)",
    url="https://arxiv.org/abs/1804.11188",
)
"""Chrono initialization: the biases of the gates follow from the lags of the data."""

JOHNSON_2019 = Paper(
    title="Linear Classifiers",
    authors=("Justin Johnson",),
    year=2019,
    venue="Lecture 3 of Deep Learning for Computer Vision (EECS 498), University of Michigan",
    url="https://web.eecs.umich.edu/~justincj/teaching/eecs498/FA2019/",
    kind="lecture",
)
"""Scores, templates, hard cases and losses of linear classifiers; the source of these slides of the lecture notes."""
