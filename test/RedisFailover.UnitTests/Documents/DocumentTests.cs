using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using NUnit.Framework;

namespace RedisFailover.UnitTests.Documents;

[TestFixture]
public sealed partial class DocumentTests
{
    private const string Usings = """
        global using System; global using System.Collections.Generic; global using System.Linq; global using System.Threading;
        global using System.Threading.Tasks; global using Microsoft.AspNetCore.Builder; global using Microsoft.Extensions.Configuration;
        global using Microsoft.Extensions.DependencyInjection; global using Microsoft.Extensions.Hosting; global using RedisFailover;
        global using RedisFailover.Client; global using RedisFailover.Client.Extensions; global using StackExchange.Redis;
        """;

    private static IEnumerable<TestCaseData> Programs()
        => from document in Document.All
           from program in document.Programs()
           select new TestCaseData(program.Given, program.Code).SetArgDisplayNames($"{document.Path}:{program.Number}");

    [TestCaseSource(nameof(Programs))]
    public void Every_block_of_csharp_compiles(string given, string code)
    {
        // What is given stands behind the usings that the block begins with.
        string[] lines = code.Split('\n');
        int first = Array.FindIndex(lines, line => line.Length > 0 && !line.StartsWith("using RedisFailover", StringComparison.Ordinal)
            && !line.StartsWith("using StackExchange", StringComparison.Ordinal)
            && !line.StartsWith("using System", StringComparison.Ordinal));
        string program = string.Join('\n', [.. lines[..first], given, .. lines[first..]]);
        string[] assemblies = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator);
        CSharpCompilation compilation = CSharpCompilation.Create(
            "document",
            [CSharpSyntaxTree.ParseText(Usings), CSharpSyntaxTree.ParseText(program)],
            [.. assemblies.Select(path => MetadataReference.CreateFromFile(path))],
            new CSharpCompilationOptions(OutputKind.ConsoleApplication));
        Assert.That(compilation.GetDiagnostics().Where(diagnostic => diagnostic.Severity == DiagnosticSeverity.Error), Is.Empty);
    }

    [Test]
    public void Every_link_leads_somewhere()
    {
        var dead = from document in Document.All
                   from line in document.Prose()
                   from link in Document.Links(line.Text)
                   where !Leads(document, link)
                   select $"{document.Path}:{line.Number}: {link}";
        Assert.That(dead, Is.Empty);
    }

    [Test]
    public void The_README_has_at_most_200_lines() => Assert.That(Document.Read("README.md").Lines, Has.Length.LessThanOrEqualTo(200));

    [Test]
    public void No_line_is_longer_than_160_characters_and_no_paragraph_than_six_lines()
    {
        var tooLong = from document in Document.All
                      from line in document.Lines.Index()
                      where line.Item.Length > 160
                      select $"{document.Path}:{line.Index + 1}: {line.Item.Length} characters";
        Assert.That(tooLong.Concat(Document.All.SelectMany(LongParagraphs)), Is.Empty);
    }

    [Test]
    public void Every_test_that_the_document_names_exists()
    {
        string sources =
            string.Join('\n', Directory.EnumerateFiles(Path.Combine(Document.Root, "test"), "*.cs", SearchOption.AllDirectories)
            .Where(path => !path.Contains("/obj/", StringComparison.Ordinal)).Select(File.ReadAllText));
        IEnumerable<string> named = Document.Read(Path.Combine("docs", "testing.md")).Prose()
            .SelectMany(line => TestName().Matches(line.Text).Select(match => match.Groups[1].Value.TrimEnd('…')));

        Assert.That(named.Where(name => !sources.Contains(name, StringComparison.Ordinal)), Is.Empty);
    }

    private static bool Leads(Document from, string link)
    {
        if (link.StartsWith("https://", StringComparison.Ordinal))
        {
            return Uri.TryCreate(link, UriKind.Absolute, out _);
        }

        string[] parts = link.Split('#');
        string target = parts[0].Length == 0
            ? from.Path
            : Path.GetRelativePath(Document.Root,
                Path.GetFullPath(Path.Combine(Document.Root, Path.GetDirectoryName(from.Path)!, parts[0])));
        return parts.Length == 1
            ? Path.Exists(Path.Combine(Document.Root, target))
            : Document.All.Any(document => document.Path == target && document.Anchors().Contains(parts[1]));
    }

    /// <summary>Tables and lists are no paragraphs; each item of a list is one.</summary>
    private static IEnumerable<string> LongParagraphs(Document document)
    {
        int length = 0;
        int last = 0;
        foreach ((int number, string text) in document.Prose())
        {
            bool begins = text.Length == 0 || text[0] is '#' or '|' || number != last + 1 || IsItem(text.TrimStart());
            length = text.Length == 0 || text[0] is '#' or '|' ? 0 : begins ? 1 : length + 1;
            last = number;
            if (length == 7)
            {
                yield return $"{document.Path}:{number}: the paragraph has more than six lines";
            }
        }
    }

    private static bool IsItem(string text)
        => text.StartsWith("- ", StringComparison.Ordinal) || (text.Length > 2 && char.IsAsciiDigit(text[0]) && text[1] == '.');

    /// <summary>A class that ends in Tests, or a sentence with underscores.</summary>
    [GeneratedRegex("`([A-Z][A-Za-z0-9]*Tests|[A-Z][A-Za-z0-9]*_[A-Za-z0-9_]*…?)`")]
    private static partial Regex TestName();
}
