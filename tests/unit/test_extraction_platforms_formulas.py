# ruff: noqa: E501  (markup as platforms write it)
"""Formulas in the markup of the platforms that hold most of them: each comes out once and exact."""

from __future__ import annotations

import pytest
from test_extraction_formulas import MATHJAX, page

from components.data.extraction import extract

FORMULAS = {
    "csdn": (
        "<span class='katex--inline'><span class='katex'><span class='katex-mathml'>\n     \n      \n       \n        \n         x\n        \n        \n         i\n        \n       \n      \n      \n       x_i\n      \n     \n    </span><span class='katex-html'><span class='base'><span class='strut' style='height: 0.58056em;'></span><span class='mord mathnormal'>x</span><span class='msupsub'>i</span></span></span></span></span>",
        "$x_i$",
    ),
    "csdn display": (
        "<span class='katex--display'><span class='katex-display'><span class='katex'><span class='katex-mathml'>\n     \n      \n       \n        \n         f\n        \n        \n         (\n        \n        \n         x\n        \n        )\n       \n      \n      \n        f(x) = \\frac{1}{x} \n      \n     \n    </span><span class='katex-html'><span class='base'>f(x)</span></span></span></span></span>",
        "$$f(x) = \\frac{1}{x}$$",
    ),
    "substack": (
        """<div class="latex-rendered" data-attrs="{&quot;persistentExpression&quot;:&quot;\\\\sum_{i=1}^n x_i&quot;,&quot;id&quot;:&quot;ABCDEF&quot;}" data-component-name="LatexBlockToDOM"></div>""",
        "$$\\sum_{i=1}^n x_i$$",
    ),
    "lesswrong": (
        "<span class='mjpage'><span class='mjx-chtml'><span class='mjx-math' aria-label='\\frac{p}{q}'><span class='mjx-mrow' aria-hidden='true'><span class='mjx-mfrac'><span class='mjx-box'><span class='mjx-mi'><span class='mjx-char MJXc-TeX-math-I'>p</span></span></span></span></span></span></span><style>.mjx-chtml {display: inline-block}</style></span>",
        "$\\frac{p}{q}$",
    ),
    "lesswrong display": (
        "<span class='mjpage mjpage__block'><span class='mjx-chtml MJXc-display' style='text-align: center;'><span class='mjx-math' aria-label='a^2+b^2'><span class='mjx-mrow' aria-hidden='true'>a2</span></span></span></span>",
        "$$a^2+b^2$$",
    ),
    "canvas": (
        "<img class='equation_image' title='\\frac{1}{2}' src='/equation_images/%255Cfrac%257B1%257D%257B2%257D' alt='LaTeX: \\frac{1}{2}' data-equation-content='\\frac{1}{2}'>",
        "$\\frac{1}{2}$",
    ),
    "canvas alt": (
        "<img class='equation_image' src='/equation_images/%255Cfrac%257B1%257D%257B2%257D' alt='LaTeX: \\frac{1}{2}'>",
        "$\\frac{1}{2}$",
    ),
    "moodle": (
        "<img class='texrender' title='x_{2}' alt='x_{2}' src='https://m.org/filter/tex/pix.php/abc.gif'>",
        "$x_{2}$",
    ),
    "moodle mathjax": (
        "<span class='filter_mathjaxloader_equation'><span class='nolink'>\\( E = h\\nu \\)</span></span>",
        "$E = h\\nu$",
    ),
    "springer": (
        "<span class='mathjax-tex'>\\(\\alpha\\)</span> and <div id='Equ1' class='c-article-equation'><div class='c-article-equation__content'><span class='mathjax-tex'>$$\\begin{aligned} a = b \\end{aligned}$$</span></div><div class='c-article-equation__number'>(1)</div></div>",
        ["$\\alpha$", "\\begin{aligned} a = b \\end{aligned}"],
    ),
    "iop": (
        "<span class='inline-eqn'><span class='tex'><span class='texImage'><img src='eqn.gif' alt='$T_{c}$' align='top'></img></span><script type='math/tex'>T_{c}</script></span></span>",
        "$T_{c}$",
    ),
    "wolfram": (
        "<img src='/images/equations/Zeta/Inline1.svg' class='inlineformula' width='26' height='21' alt='zeta(s)'> for <img src='/images/equations/Zeta/N1.svg' class='numberedequation' alt=' zeta(s)=sum_(n=1)^infty1/(n^s). '>",
        ["zeta(s)=sum_(n=1)^infty1/(n^s)."],
    ),
    "latex2html": (
        '<!-- MATH\n $\\int_0^1 f$\n -->\n<IMG\n WIDTH="51" HEIGHT="31" ALIGN="MIDDLE" BORDER="0"\n SRC="img3.gif"\n ALT="$\\int_0^1 f$">',
        "$\\int_0^1 f$",
    ),
    "latex2html no alt": ('<!-- MATH\n $\\sqrt{7}$\n -->\n<IMG\n WIDTH="51" SRC="img3.gif" ALT="img3">', "$\\sqrt{7}$"),
    "latex2html display": (
        '<DIV ALIGN="CENTER">\n<!-- MATH\n \\begin{equation}\nE = mc^2\n\\end{equation}\n -->\n<TABLE CELLPADDING="0" WIDTH="100%" ALIGN="CENTER"><TR VALIGN="MIDDLE"><TD NOWRAP ALIGN="CENTER"><IMG WIDTH="70" SRC="img5.gif" ALT="$\\displaystyle E = mc^2$"></TD><TD NOWRAP WIDTH="10" ALIGN="RIGHT">(1)</TD></TR></TABLE></DIV>',
        "E = mc^2",
    ),
    "wikidot": (
        "<span class='math-inline'>$\\pi_1(X)$</span> and <span class='equation-number'>(1)</span><div class='math-equation' id='equation-1'>\\begin{align} x=y \\end{align}</div>",
        ["$\\pi_1(X)$", "\\begin{align} x=y \\end{align}"],
    ),
    "libretexts": ("\\( \\PageIndex{1} \\) and \\[ \\int x\\,dx \\label{1.1} \\]" + MATHJAX, ["\\int x\\,dx"]),
    "openstax math": (
        "<math xmlns='http://www.w3.org/1998/Math/MathML'><semantics><mrow><mrow><mi>f</mi><mo stretchy='false'>(</mo><mi>x</mi><mo stretchy='false'>)</mo><mo>=</mo><msqrt><mi>x</mi></msqrt></mrow></mrow><annotation-xml encoding='MathML-Content'><mrow><mi>f</mi></mrow></annotation-xml></semantics></math>",
        "$f ( x ) = \\sqrt{x}$",
    ),
    "jax alttext": (
        "<span class='MathJax_Preview'>[Math Processing Error]</span><script type='math/tex' id='m'>z^3</script>",
        "$z^3$",
    ),
    "asciimath tick": (
        "`sum_(i=1)^n i^3=((n(n+1))/2)^2`",
        "$sum_(i=1)^n i^3=((n(n+1))/2)^2$",
        "<script src='https://cdnjs.cloudflare.com/ajax/libs/mathjax/2.7.7/MathJax.js?config=AM_CHTML'></script>",
    ),
    "asciimath mj3": (
        "`x^2 + 1`",
        "$x^2 + 1$",
        "<script>MathJax = {loader: {load: ['input/asciimath', 'output/chtml']}}</script><script src='https://cdn.jsdelivr.net/npm/mathjax@3/es5/startup.js'></script>",
    ),
    "asciimath delims": (
        "!!sqrt(x)!!",
        "$sqrt(x)$",
        "<script>MathJax = {loader: {load: ['input/asciimath', 'output/chtml']}, asciimath: {delimiters: [['!!','!!']]}}</script><script src='https://cdn.jsdelivr.net/npm/mathjax@3/es5/startup.js'></script>",
    ),
    "asciimathml.js": ("amath x/y endamath and `a/b`", ["$a/b$"], "<script src='ASCIIMathML.js'></script>"),
    "asciimath script": ("<script type='math/asciimath'>int_0^1 f(x)dx</script>", "$int_0^1 f(x)dx$"),
    "asciimath span": ("<span class='asciimath'>`u^2`</span> <span class='AM'>`v^2`</span>", ["u^2", "v^2"]),
    "asciidoctor": (
        "<p>stem: \\$sqrt(4) = 2\\$ done</p><div class='stemblock'><div class='content'>\\$x = 1/2\\$</div></div>",
        ["$sqrt(4) = 2$", "x = 1/2"],
        "<script type='text/x-mathjax-config'>MathJax.Hub.Config({messageStyle: 'none', tex2jax: {inlineMath: [['\\\\(', '\\\\)']], displayMath: [['\\\\[', '\\\\]']], ignoreClass: 'nostem|nolatexmath'}, asciimath2jax: {delimiters: [['\\\\$', '\\\\$']], ignoreClass: 'nostem|noasciimath'}})</script><script src='https://cdnjs.cloudflare.com/ajax/libs/mathjax/2.7.9/MathJax.js?config=TeX-MML-AM_HTMLorMML'></script>",
    ),
    "jsmath": (
        "<span class='math'>x \\in A</span><div class='math'>y \\notin B</div>",
        ["$x \\in A$", "$$y \\notin B$$"],
    ),
    "custom mj2": (
        "the value {{x+y}} and [[[\\frac12]]]",
        ["$x+y$", "$$\\frac12$$"],
        "<script type='text/x-mathjax-config'>MathJax.Hub.Config({tex2jax: {inlineMath: [['{{','}}']], displayMath: [['[[[',']]]']]}});</script><script src='MathJax.js'></script>",
    ),
    "custom single $": (
        "value $x$ is $y+1$ ok",
        ["$x$", "$y+1$"],
        "<script type='text/x-mathjax-config'>MathJax.Hub.Config({\n  tex2jax: {\n    inlineMath: [ ['$','$'], [\"\\\\(\",\"\\\\)\"] ],\n processEscapes: true }\n});</script><script src='MathJax.js'></script>",
    ),
    "push": (
        "value $p$ ok",
        "$p$",
        "<script>window.MathJax={tex:{inlineMath:{'[+]':[['$','$']]}}}</script><script src='https://cdn.jsdelivr.net/npm/mathjax@4/tex-chtml.js'></script>",
    ),
    "katex auto": (
        "value $p_1$ and \\(q\\) and \\begin{equation}r\\end{equation} ok",
        ["$p_1$", "$q$", "{equation}r"],
        '<link href=\'katex.min.css\'><script defer src=\'auto-render.min.js\' onload=\'renderMathInElement(document.body,{delimiters:[{left:"$",right:"$",display:false},{left:"\\\\(",right:"\\\\)",display:false}]});\'></script>',
    ),
    "katex onload external": (
        "a \\(q_1\\) b $$r$$",
        ["$q_1$", "$$r$$"],
        "<script defer src='https://cdn.jsdelivr.net/npm/katex@0.16/dist/contrib/auto-render.min.js' onload='renderMathInElement(document.body);'></script>",
    ),
    "hub external": (
        "a $q$ b and $s+t$ c",
        ["$q$", "$s+t$"],
        "<script src='/assets/mathjax-config.js'></script>" + MATHJAX,
    ),
    "url tex": (
        "<img src='https://math.now.sh?from=%5Clog%5Cprod'> and <img src='https://latex.codecogs.com/svg.image?a^2&plus;b^2'> <img src=\"https://i.upmath.me/svg/x%5E3\"> <img src='https://tex.s2cms.ru/svg/y%5E5'> <img src='http://www.sciweavers.org/upload/Tex2Img_123/eqn.png' alt='k_1'>",
        ["\\log\\prod", "a^2+b^2", "x^3", "y^5"],
    ),
    "url tex2": (
        "<img src='https://www.zhihu.com/equation?tex=a%2Bb%5C%5Cc'> <img src='/cgi-bin/mathtex.cgi?\\alpha_1'> <img src='https://mathtex.example.org/mathtex.cgi?\\small%20x_9'> <img src='/latexrender/pictures/ab.png' alt='w^{9}'><img src='https://chart.apis.google.com/chart?cht=tx&chf=bg,s,FFFFFF00&chl=q%5E%7B7%7D'>",
        ["a+b\\\\c", "\\alpha_1", "x_9", "w^{9}", "q^{7}"],
    ),
    "data url": (
        "<img class='ee_img tr_noresize' eeimg='1' src='data:image/png' data-formula='\\theta_4'> <span class='formula' data-latex='m_3'></span>",
        ["\\theta_4", "m_3"],
    ),
    "bare": ("<math><mi>y</mi><mo>=</mo><msup><mi>x</mi><mn>2</mn></msup></math>", "$y = x^{2}$"),
    "wiley": (
        "<span class='fallback__mathEquation' data-altimg='/cms/a.gif'></span><math xmlns='http://www.w3.org/1998/Math/MathML' altimg='urn:x.gif' display='inline' location='graphic/x.gif' overflow='scroll'><mrow><mi>k</mi><mo linebreak='goodbreak'>=</mo><mn>3</mn></mrow></math>",
        "$k = 3$",
    ),
    "mdpi": (
        "<mml:math id='mm1'><mml:semantics><mml:mrow><mml:mi>σ</mml:mi><mml:mo>&lt;</mml:mo><mml:mn>0.5</mml:mn></mml:mrow></mml:semantics></mml:math>",
        "$\\sigma < 0.5$",
    ),
    "mathjax-svg": (
        "<mjx-container class='MathJax' jax='SVG'><svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 1 1'><g stroke='currentColor'><g data-mml-node='math'><g data-mml-node='msup'><g data-mml-node='mi'><use data-c='1D465' xlink:href='#MJX-1-TEX-I-1D465'></use></g><g data-mml-node='mn' transform='translate(605,363) scale(0.707)'><use data-c='32' xlink:href='#MJX-1-TEX-N-32'></use></g></g></g></g></svg></mjx-container>",
        "$x^{2}$",
    ),
    "mathjax-chtml": (
        "<mjx-container class='MathJax CtxtMenu_Attached_0' jax='CHTML'><mjx-math class='MJX-TEX' aria-hidden='true'><mjx-msub><mjx-mi class='mjx-i'><mjx-c class='mjx-c1D44E TEX-I'></mjx-c></mjx-mi><mjx-script style='vertical-align: -0.15em;'><mjx-mi class='mjx-i' size='s'><mjx-c class='mjx-c1D45B TEX-I'></mjx-c></mjx-mi></mjx-script></mjx-msub><mjx-mo class='mjx-n' space='4'><mjx-c class='mjx-c3D'></mjx-c></mjx-mo><mjx-mfrac space='4'><mjx-frac><mjx-num><mjx-nstrut></mjx-nstrut><mjx-mn class='mjx-n' size='s'><mjx-c class='mjx-c31'></mjx-c></mjx-mn></mjx-num><mjx-dbox><mjx-dtable><mjx-line></mjx-line><mjx-row><mjx-den><mjx-dstrut></mjx-dstrut><mjx-mi class='mjx-i' size='s'><mjx-c class='mjx-c1D45B TEX-I'></mjx-c></mjx-mi></mjx-den></mjx-row></mjx-dtable></mjx-dbox></mjx-frac></mjx-mfrac></mjx-math></mjx-container>",
        "$a_{n} = \\frac{1}{n}$",
    ),
    "sphinx mathjax": (
        "<span class='math notranslate nohighlight'>\\(O(n \\log n)\\)</span><div class='math notranslate nohighlight'>\n\\[\\begin{split}a &amp; b\\end{split}\\]</div>",
        ["$O(n \\log n)$", "\\begin{split}a & b\\end{split}"],
    ),
    "sphinx eqno": (
        "<div class='math notranslate nohighlight' id='equation-x'><span class='eqno'>(1)<a class='headerlink' href='#equation-x'>¶</a></span>\\[e = 1\\]</div>",
        "$$e = 1$$",
    ),
    "doxygen": (
        "<img class='formulaInl' alt='$ f_1 $' src='form_0.png'/> <p class='formulaDsp'><img class='formulaDsp' alt='\\[ g_2 \\]' src='form_1.png'/></p>",
        ["$f_1$", "$$g_2$$"],
    ),
    "pandoc mathml": (
        "<math display='inline' xmlns='http://www.w3.org/1998/Math/MathML'><semantics><msub><mi>v</mi><mn>0</mn></msub><annotation encoding='application/x-tex'>v_0</annotation></semantics></math>",
        "$v_0$",
    ),
    "temml": (
        "<math class='tml-display' style='display:block math;'><semantics><mrow></mrow><annotation encoding='application/x-tex'>\\sup_x f</annotation></semantics></math>",
        "$$\\sup_x f$$",
    ),
    "hackmd": ("<span class='mathjax raw'>$L_1$</span> <span class='mathjax'>$$L_2$$</span>", ["$L_1$", "L_2"]),
    "obsidian": (
        "<span class='math math-inline is-loaded'><mjx-container class='MathJax' jax='CHTML'><mjx-math class='MJX-TEX'><mjx-mi class='mjx-i'><mjx-c class='mjx-c1D465'></mjx-c></mjx-mi></mjx-math></mjx-container></span>",
        "$x$",
    ),
    "nlab": (
        "<math xmlns='http://www.w3.org/1998/Math/MathML' class='maruku-mathml' display='block'><semantics><mrow><mi>f</mi></mrow><annotation encoding='application/x-tex'>f \\colon A \\to B</annotation></semantics></math>",
        "$$f \\colon A \\to B$$",
    ),
    "proofwiki": (
        "Let $\\struct {G, \\circ}$ be a group with $e$ the identity. <dl><dd>$\\ds \\forall a: a e = a$</dd></dl>",
        ["$\\struct {G, \\circ}$", "$e$", "$\\ds \\forall a: a e = a$"],
        "<script>window.MathJax = {tex: {inlineMath: [['$', '$']]}}</script>" + MATHJAX,
    ),
    "encyclopediaofmath": (
        "A $k$-form $\\omega$ and <asp:p>\\begin{equation}\\label{e:1} d\\omega = 0\\end{equation}",
        ["$k$", "$\\omega$", "d\\omega = 0"],
        MATHJAX,
    ),
    "tex macro": ("\\(\\newcommand{\\R}{\\mathbb{R}}\\) then \\(\\R^n\\)" + MATHJAX, "$\\R^n$"),
    "mathml in mediawiki old": (
        "<img class='tex' alt='\\sqrt{2x}' src='//upload.wikimedia.org/math/3/2/a.png'>",
        "$\\sqrt{2x}$",
    ),
    "imgtex": (
        "<img src='/tex/5b.png' alt='$n \\to \\infty$' title='$n \\to \\infty$' class='tex'>",
        "$n \\to \\infty$",
    ),
    "codeforces": (
        "<span class='tex-span'><i>n</i><sup class='upper-index'>2</sup></span> and $$$a_i \\le 10^9$$$",
        ["$a_i \\le 10^9$"],
        "<script type='text/x-mathjax-config'>MathJax.Hub.Config({tex2jax: {inlineMath: [['$$$','$$$']], displayMath: [['$$$$$$','$$$$$$']]}});</script><script src='//mathjax.codeforces.org/MathJax.js?config=TeX-AMS_HTML-full'></script>",
    ),
    "atcoder": ("<var>1 \\leq N \\leq 10^5</var>", "$1 \\leq N \\leq 10^5$"),
    "greek": ("&alpha;<sub>1</sub> &le; &beta;<sup>2</sup> &plusmn; &radic;2", "α_1 ≤ β^2 ± √2"),
    "sup forms": (
        "2<sup>n+1</sup> and x<sub>i,j</sub> and e<sup>&minus;&lambda;t</sup> and <i>x</i><sup><i>k</i></sup>",
        ["2^{n+1}", "x_{i,j}", "e^{−λt}", "x^k"],
    ),
    "sup nested": ("2<sup>2<sup>n</sup></sup> <em>a<sub>i</sub></em><sup>2</sup>", ["2^{2^n}", "a_i^2"]),
    "footnote": (
        "said<sup>[3]</sup> and noted<sup><a href='#f'>4</a></sup> and 5<sup>th</sup>",
        "said[3] and noted4 and 5th",
    ),
    "mathtype": (
        "<img class='Wirisformula' alt='x squared plus 1' data-mathml='&lt;math&gt;&lt;msup&gt;&lt;mi&gt;x&lt;/mi&gt;&lt;mn&gt;2&lt;/mn&gt;&lt;/msup&gt;&lt;/math&gt;'>",
        "$x^{2}$",
    ),
    "brainly": ("[tex]\\frac{3}{4}[/tex] and [math]b_9[/math]", ["\\frac{3}{4}", "b_9"]),
    "quora": ("<span class='q-math'>[math]\\sqrt 3[/math]</span>", "$\\sqrt 3$"),
    "math-field": ("<math-field read-only>\\oint F</math-field>", "$\\oint F$"),
    "mathlive span": ("<span class='ML__mathlive' data-latex='\\oint G'></span>", "$\\oint G$"),
    "mathjax mml attr": (
        "<span class='MathJax' data-mathml='<math xmlns=\"http://www.w3.org/1998/Math/MathML\"><mi>k</mi></math>' role='presentation'><nobr>k</nobr><span class='MJX_Assistive_MathML'><math><mi>k</mi></math></span></span>",
        "$k$",
    ),
    "tex4ht": (
        "<img src='x0x.png' alt='  2\nx  + 1' class='math' > and <span class='cmmi-10'>x</span><sup><span class='cmr-7'>2</span></sup>",
        ["x^2"],
    ),
    "hevea": ("<span style='font-style:italic'>x</span><sup>2</sup>", "x^2"),
    "cdata config": (
        "||x+1|| and ok",
        "$x+1$",
        "<script type='text/x-mathjax-config'>//<![CDATA[\nMathJax.Hub.Config({ tex2jax: { inlineMath: [['$','$'], ['||','||'] ], displayMath: [ ['$$','$$'] ] } });\n//]]></script><script src='MathJax.js'></script>",
    ),
    "asciimath $": (
        "$x/2$ and `y/3`",
        ["$x/2$", "$y/3$"],
        "<script type='text/x-mathjax-config'>MathJax.Hub.Config({asciimath2jax: {delimiters: [['`','`'], ['$','$']]}});</script><script src='MathJax.js?config=AM_HTMLorMML'></script>",
    ),
    "json config": (
        "¡x_1¡ ok",
        "$x_1$",
        '<script>window.MathJax = {"tex": {"inlineMath": [["¡", "¡"]]}};</script>' + MATHJAX,
    ),
    "wp latex shortcode": (
        "[latex]\\int x dx[/latex] and [katex]y^2_1[/katex] and [latexpage]",
        ["\\int x dx", "$y^2_1$"],
    ),
    "bracket escaped": ("we have \\(f(x)=\\sqrt{x}\\), hence", "$f(x)=\\sqrt{x}$"),
    "dollar no engine": (
        "Let $f: X \\to Y$ be a map and $x$ be a point with $\\alpha_1$ too",
        ["$f: X \\to Y$", "$\\alpha_1$"],
    ),
    "display in p": (
        "$$\n\\begin{pmatrix}1 &amp; 2\\\\ 3 &amp; 4\\end{pmatrix}\n$$" + MATHJAX,
        "\\begin{pmatrix}1 & 2\\\\ 3 & 4\\end{pmatrix}",
    ),
    "mathml matrix": (
        "<math><mrow><mo>(</mo><mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr></mtable><mo>)</mo></mrow></math>",
        "\\begin{pmatrix} 1 & 0 \\end{pmatrix}",
    ),
    "mathml determinant": (
        "<math><mrow><mo>|</mo><mtable><mtr><mtd><mi>a</mi></mtd><mtd><mi>b</mi></mtd></mtr></mtable><mo>|</mo><mo>=</mo><mn>0</mn></mrow></math>",
        "$\\begin{vmatrix} a & b \\end{vmatrix} = 0$",
    ),
    "mathml cases": (
        "<math><mi>f</mi><mo>=</mo><mo>{</mo><mtable><mtr><mtd><mn>1</mn></mtd></mtr><mtr><mtd><mn>0</mn></mtd></mtr></mtable></math>",
        "$f = \\begin{cases} 1 \\\\ 0 \\end{cases}$",
    ),
    "mathml mfenced matrix": (
        "<math><mfenced open='[' close=']'><mtable><mtr><mtd><mi>q</mi></mtd></mtr></mtable></mfenced></math>",
        "$\\begin{bmatrix} q \\end{bmatrix}$",
    ),
    "mathml binomial": (
        "<math><mo>(</mo><mfrac linethickness='0'><mi>n</mi><mi>k</mi></mfrac><mo>)</mo></math>",
        "$\\binom{n}{k}$",
    ),
    "mathml interval": ("<math><mo>(</mo><mi>a</mi><mo>)</mo><mtext> of </mtext></math>", "$( a ) \\text{ of }$"),
    "mathml aligned": (
        "<math display='block'><mtable columnalign='right left' displaystyle='true'><mtr><mtd><mi>x</mi></mtd><mtd><mo>=</mo><mn>1</mn></mtd></mtr></mtable></math>",
        "$$\\begin{aligned} x & = 1 \\end{aligned}$$",
    ),
    "mathml numbered": (
        "<math display='block'><mtable><mlabeledtr><mtd><mtext>(7)</mtext></mtd><mtd><mi>a</mi><mo>=</mo><mi>b</mi></mtd></mlabeledtr></mtable></math>",
        "$$a = b \\tag{7}$$",
    ),
    "mathml numbered lines": (
        "<math display='block'><mtable columnalign='right left'><mlabeledtr><mtd><mtext>(7)</mtext></mtd><mtd><mi>a</mi></mtd></mlabeledtr><mtr><mtd><mi>b</mi></mtd></mtr></mtable></math>",
        "$$\\begin{aligned} a \\quad (7) \\\\ b \\end{aligned}$$",
    ),
    "mathml overline": (
        "<math><menclose notation='top'><mi>A</mi><mi>B</mi></menclose></math>",
        "$\\overline{A B}$",
    ),
    "image of any service": ("<img src='https://math.example.org/draw/%5Cfrac%7Bm%7D%7Bv%7D'>", "$\\frac{m}{v}$"),
    "image of latex without commands": (
        "<img src='https://s0.wp.com/latex.php?latex=2omega_0%2C+2omega_0-4pi&#038;bg=ffffff&#038;s=0' class='latex'>",
        "$2omega_0, 2omega_0-4pi$",
    ),
    "canvas by address": ("<img class='equation_image' src='/equation_images/%255Cfrac%257B1%257D%257B8%257D'>", "$\\frac{1}{8}$"),
    "habr": ("<img src='https://habrastorage.org/x.svg' alt='$inline$\\varphi_1$inline$'>", "$\\varphi_1$"),
    "elements named tex": ("<x-katex>\\delta_1</x-katex> and <eq>\\delta_2</eq>", ["$\\delta_1$", "$\\delta_2$"]),
    "fraction of marks": ("<sup>3</sup>&frasl;<sub>4</sub> of it", "3\u20444 of it"),
    "group of a post": (
        "<span class='d-none'>$\\begingroup$</span> and $u_1$ with <span class='d-none'>$\\endgroup$</span>",
        "$u_1$",
        "<script type='text/x-mathjax-config'>MathJax.Hub.Config({tex2jax: {inlineMath: [['$','$']]}});</script>",
    ),
    "mathml sum": (
        "<math><munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi></munderover><msub><mi>a</mi><mi>i</mi></msub></math>",
        "$\\sum_{i = 1}^{n} a_{i}$",
    ),
    "img title tex": ("<img src='eq1.png' title='\\sum_{k} k^2' alt='equation'>", "\\sum_{k} k^2"),
    "img alt dollars text": ("<img src='l1.png' alt='$\\lambda$' width=8>", "$\\lambda$"),
    "codecogs alt": (
        "<img src='https://latex.codecogs.com/svg.latex?\\Large&space;x=\\frac{-b}{2a}' title='x' alt='\\Large x=\\frac{-b}{2a}'>",
        "x=\\frac{-b}{2a}",
    ),
    "lazy": (
        "<img src='data:image/gif;base64,R0' data-src='https://s0.wp.com/latex.php?latex=q_7' class='latex lazyload'>",
        "$q_7$",
    ),
    "i18n upper": ("<IMG SRC='cgi-bin/mimetex.cgi?%5Cfrac%7B1%7D%7B2%7D'>", "\\frac{1}{2}"),
    "math.se comments": (
        "<span class='math-container' id='4'>\\begin{align} x&amp;=1 \\end{align}</span>",
        "\\begin{align} x&=1 \\end{align}",
    ),
    "eqn class": ("<div class='eqn'>\\[x_5\\]</div>" + MATHJAX, "$$x_5$$"),
    "chem": ("\\(\\ce{H2O -> H+ + OH-}\\)" + MATHJAX, "$\\ce{H2O -> H+ + OH-}$"),
    "mathjax svg title": (
        "<span class='MathJax_SVG' aria-label='x'><svg><title>x squared</title></svg></span><script type='math/tex'>x^2_0</script>",
        "$x^2_0$",
    ),
    "data-mathml entity": (
        "<span class='MathJax_CHTML' data-mathml='&lt;math xmlns=&quot;http://www.w3.org/1998/Math/MathML&quot;&gt;&lt;mi&gt;t&lt;/mi&gt;&lt;mo&gt;&amp;lt;&lt;/mo&gt;&lt;mn&gt;3&lt;/mn&gt;&lt;/math&gt;'></span>",
        "$t < 3$",
    ),
    "annotation StarMath": (
        "<math><semantics><mrow><mi>k</mi><mo>=</mo><mn>1</mn></mrow><annotation encoding='StarMath 5.0'>k=1</annotation></semantics></math>",
        "$k = 1$",
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_of_platforms(name: str) -> None:
    body, expected, *head = FORMULAS[name]
    text = extract(page(body, *head)).text
    for formula in [expected] if isinstance(expected, str) else expected:
        assert text.count(formula) == 1, text[text.find("BEGIN") :][:400]
    assert text.index("BEGIN") < text.index("END")
    assert "begingroup" not in text and "endgroup" not in text
