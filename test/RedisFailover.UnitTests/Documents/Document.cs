using System.Text.RegularExpressions;

namespace RedisFailover.UnitTests.Documents;

/// <summary>A Markdown file of the repository.</summary>
internal sealed partial record Document(string Path, string[] Lines)
{
    public static string Root { get; } = FindRoot();

    /// <summary>README and its like in the root, and everything below docs/.</summary>
    public static IReadOnlyList<Document> All { get; } =
    [
        .. Directory.EnumerateFiles(Root, "*.md")
            .Concat(Directory.EnumerateFiles(System.IO.Path.Combine(Root, "docs"), "*.md", SearchOption.AllDirectories))
            .Order(StringComparer.Ordinal)
            .Select(path => new Document(System.IO.Path.GetRelativePath(Root, path), File.ReadAllLines(path))),
    ];

    public static Document Read(string path) => All.Single(document => document.Path == path);

    /// <summary>Lines outside of fenced blocks, with their numbers.</summary>
    public IEnumerable<(int Number, string Text)> Prose()
    {
        bool fenced = false;
        for (int i = 0; i < Lines.Length; i++)
        {
            bool fence = Lines[i].StartsWith("```", StringComparison.Ordinal);
            if (!fence && !fenced)
            {
                yield return (i + 1, Lines[i]);
            }

            fenced ^= fence;
        }
    }

    /// <summary>The blocks of C#, each with what the comment "given: ..." in the line before it declares.</summary>
    public IEnumerable<(int Number, string Given, string Code)> Programs()
    {
        for (int i = 0; i < Lines.Length; i++)
        {
            if (Lines[i] == "```csharp")
            {
                string[] code = [.. Lines.Skip(i + 1).TakeWhile(line => line != "```")];
                yield return (i + 1, i > 0 && Given().Match(Lines[i - 1]) is { Success: true } given
                    ? given.Groups[1].Value : "", string.Join('\n', code));
            }
        }
    }

    /// <summary>The targets of the links of a line.</summary>
    public static IEnumerable<string> Links(string line) => Link().Matches(line).Select(match => match.Groups[1].Value);

    /// <summary>The anchors of the headings, made as GitHub makes them.</summary>
    public IEnumerable<string> Anchors()
        => Prose().Where(line => line.Text.StartsWith('#'))
            .Select(line => NotInAnchors().Replace(line.Text.TrimStart('#').Trim().ToLowerInvariant(), "").Replace(' ', '-'));

    private static string FindRoot()
    {
        DirectoryInfo folder = new(AppContext.BaseDirectory);
        while (!File.Exists(System.IO.Path.Combine(folder.FullName, "redis-failover-zk.sln")))
        {
            folder = folder.Parent!;
        }

        return folder.FullName;
    }

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"[^\w\- ]")]
    private static partial Regex NotInAnchors();

    [GeneratedRegex("^<!-- given: (.*) -->$")]
    private static partial Regex Given();
}
