using NUnit.Framework;

namespace RedisFailover.UnitTests.Core;

[TestFixture]
public sealed class WordsTests
{
    [TestCase("b:1 lacks 10 bytes", "b:1 lacks 999 bytes", true)]
    [TestCase("10.0.0.2:6379 cannot save", "10.0.0.3:6379 cannot save", false)]
    [TestCase("[10.0.0.2:6379 10.0.0.3:6379]", "[10.0.0.2:6379 10.0.0.4:6379]", false)]
    [TestCase("after 3 s", "after 3 min", false)]
    [TestCase("one", "one two", false)]
    public void Figures_are_no_news_and_another_node_is(string one, string other, bool same)
        => Assert.That(Words.SameButForNumbers(one, other), Is.EqualTo(same));
}
