using System.Text.RegularExpressions;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.EcosystemTests;

[TestFixture]
public sealed partial class ClientDocumentTests
{
    [Test]
    public void Every_line_of_code_in_the_table_of_libraries_is_compiled()
    {
        string compiled = Words(File.ReadAllText(
            Path.Combine(Programs.RepositoryRoot, "test", "RedisFailover.EcosystemTests", "ClientDocument.cs")));
        string[] written =
        [
            .. File.ReadLines(Path.Combine(Programs.RepositoryRoot, "docs", "client.md"))
                .SkipWhile(line => !line.StartsWith('|')).TakeWhile(line => line.StartsWith('|'))
                .SelectMany(line => Code().Matches(line.Split('|')[2]).Select(match => match.Groups[1].Value)),
        ];

        Assert.That(written, Has.Length.GreaterThan(15));
        Assert.That(written.Where(code => !compiled.Contains(Words(code), StringComparison.Ordinal)), Is.Empty);
    }

    private static string Words(string code) => Spaces().Replace(code, " ");

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Code();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
