using System.Text.RegularExpressions;
using NUnit.Framework;

namespace RedisFailover.UnitTests.Documents;

/// <summary>What is written as JSON, into znodes, by the tool and over HTTP, has its name in the documents: programs go by it.</summary>
[TestFixture]
public sealed partial class JsonDocumentTests
{
    [Test]
    public void Every_field_stands_in_the_documents()
    {
        string documents = string.Concat(new[] { "operations.md", "architecture.md" }
            .Select(name => string.Join('\n', Document.Read(Path.Combine("docs", name)).Lines)));
        string[] sources =
        [
            .. new[] { "RedisFailover.Core", "RedisFailover.Cli", Path.Combine("RedisFailover.Monitor", "Http") }
                .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Document.Root, "src", folder), "*.cs",
                    SearchOption.AllDirectories))
                .Where(file => !file.Contains($"{Path.DirectorySeparatorChar}obj{Path.DirectorySeparatorChar}", StringComparison.Ordinal))
                .Where(file => Path.GetFileName(file) != "OpenApi.cs").Select(File.ReadAllText),
        ];
        string[] fields = [.. sources.SelectMany(source => Field().Matches(source)).Select(m => m.Groups["name"].Value).Distinct()];
        Assert.That(fields, Has.Length.GreaterThan(100), "they are still found");
        Assert.That(fields.Where(field => !documents.Contains($"`{field}`", StringComparison.Ordinal)), Is.Empty);
    }

    /// <summary>How a field's name stands in the source: where it is written by hand, and by attribute.</summary>
    [GeneratedRegex("""(?:\.Write\w*\(\s*(?:(?:writer|json),\s*)?|JsonPropertyName\(|(?:Raw|Number)\(\w+, )"(?<name>[A-Za-z-]+)"[,)]""")]
    private static partial Regex Field();
}
