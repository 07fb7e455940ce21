using NUnit.Framework;

namespace RedisFailover.UnitTests.Documents;

[TestFixture]
public sealed class SecurityDocumentTests
{
    [TestCase("6.0")]
    [TestCase("7.0")]
    public void It_gives_the_least_rights_that_the_monitors_ask_for(string version)
    {
        string text = string.Join('\n', Document.Read("docs/security.md").Lines)
            .Replace("\nACL SETUSER monitor ", " ", StringComparison.Ordinal);
        Assert.That(text, Does.Contain($">PASSWORD {NodeRight.MinimalAcl(Version.Parse(version))}\n"));
    }

    [Test]
    public void It_says_what_is_lost_without_each_right()
    {
        string[] rows = [.. Document.Read("docs/security.md").Lines.Where(l => l.StartsWith("| `", StringComparison.Ordinal))];
        foreach (NodeRight right in NodeRight.All)
        {
            Assert.That(rows, Has.Some.Contains($"`{right.Command.Replace("|", "\\|", StringComparison.Ordinal)}`"));
        }
    }
}
