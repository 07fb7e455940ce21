using System.Reflection;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using NUnit.Framework;
using RedisFailover.UnitTests.Documents;

namespace RedisFailover.UnitTests;

/// <summary>The arrows between the projects: who may know whom.</summary>
[TestFixture]
public sealed class ArchitectureTests
{
    private static readonly Assembly Core = typeof(Topology).Assembly;
    private static readonly Assembly ZooKeeper = typeof(RedisFailover.ZooKeeper.ZooKeeperSession).Assembly;
    private static readonly Assembly Client = typeof(RedisFailover.Client.FailoverConnection).Assembly;
    private static readonly Assembly Monitor = typeof(RedisFailover.Monitor.Options.MonitorOptions).Assembly;

    [Test]
    public void Core_uses_the_framework_alone()
        => Assert.That(References(Core).Where(r => !r.StartsWith("System.", StringComparison.Ordinal)), Is.Empty);

    [Test]
    public void ZooKeeper_uses_nothing_of_ours() => Assert.That(Ours(ZooKeeper), Is.Empty);

    [Test]
    public void Client_and_monitor_use_core_and_zookeeper_and_never_meet() => Assert.Multiple(() =>
    {
        Assert.That(Ours(Client), Is.SubsetOf(["RedisFailover.Core", "RedisFailover.ZooKeeper"]));
        Assert.That(Ours(Monitor), Is.SubsetOf(["RedisFailover.Core", "RedisFailover.ZooKeeper"]));
    });

    [Test]
    public void The_extensions_use_the_client_and_never_meet_the_monitor()
        => Assert.That(
            Ours(typeof(RedisFailover.Client.Extensions.RedisFailoverServices).Assembly),
            Is.SubsetOf(["RedisFailover.Core", "RedisFailover.ZooKeeper", "RedisFailover.Client"]));

    [Test]
    public void The_client_needs_no_host_and_no_container()
        => Assert.That(References(Client).Where(name => name.StartsWith("Microsoft.Extensions.", StringComparison.Ordinal)),
            Is.SubsetOf(["Microsoft.Extensions.Logging.Abstractions"]));

    [Test]
    public void The_tool_uses_the_client_but_not_the_monitor()
        => Assert.That(Ours(Assembly.Load("redis-failover")),
            Is.SubsetOf(["RedisFailover.Core", "RedisFailover.ZooKeeper", "RedisFailover.Client"]));

    [Test]
    public void Core_has_no_clock_and_does_no_input_or_output()
    {
        string[] banned =
            ["System.Net.Sockets", "System.Net.NameResolution", "System.IO.FileSystem", "System.Threading.Channels", "System.Threading.Thread"];

        Assert.That(References(Core).Intersect(banned), Is.Empty);
    }

    [Test]
    public void Core_s_folders_know_each_other_in_one_direction()
    {
        var uses = new SortedDictionary<string, SortedSet<string>>(StringComparer.Ordinal);
        CSharpCompilation compilation = CoreSources();
        foreach (SyntaxTree tree in compilation.SyntaxTrees)
        {
            SemanticModel model = compilation.GetSemanticModel(tree);
            foreach (SimpleNameSyntax name in tree.GetRoot().DescendantNodes().OfType<SimpleNameSyntax>())
            {
                if (model.GetSymbolInfo(name).Symbol is INamedTypeSymbol { DeclaringSyntaxReferences: [var declared, ..] }
                    && Folder(declared.SyntaxTree) is { Length: > 0 } used && used != Folder(tree))
                {
                    uses.TryAdd(Folder(tree), []);
                    uses[Folder(tree)].Add(used);
                }
            }
        }

        // Whoever uses nobody who is left is taken out, until nobody is left.
        while (uses.FirstOrDefault(u => !u.Value.Any(uses.ContainsKey)) is { Key: { } free })
        {
            uses.Remove(free);
        }

        Assert.That(uses.Where(u => u.Key.Length > 0).Select(u => $"{u.Key} uses {string.Join(", ", u.Value.Where(uses.ContainsKey))}"),
            Is.Empty);
    }

    [Test]
    public void No_function_of_Core_is_longer_than_40_lines_or_has_more_than_5_parameters()
        => Assert.That(CoreSources().SyntaxTrees.SelectMany(tree => tree.GetRoot().DescendantNodes()
            .Where(n => n is BaseMethodDeclarationSyntax or LocalFunctionStatementSyntax or AccessorDeclarationSyntax)
            .Select(n => (Node: n, Lines: n.ToString().Split('\n').Length,
                Parameters: n.ChildNodes().OfType<ParameterListSyntax>().Sum(p => p.Parameters.Count)))
            .Where(f => f.Lines > 40 || f.Parameters > 5)
            .Select(f => $"{Path.GetFileName(tree.FilePath)}: {f.Lines} lines, {f.Parameters} parameters: "
                + f.Node.ToString().Split('\n')[0].Trim())), Is.Empty);

    private static CSharpCompilation CoreSources()
    {
        string core = Path.Combine(Document.Root, "src", "RedisFailover.Core");
        string usings = string.Concat(((string[])["System", "System.Collections.Generic", "System.IO", "System.Linq", "System.Threading",
            "System.Threading.Tasks"]).Select(n => $"global using {n};"));
        return CSharpCompilation.Create(
            "Core",
            [CSharpSyntaxTree.ParseText(usings),
                .. Directory.EnumerateFiles(core, "*.cs", SearchOption.AllDirectories)
                    .Where(f => !Path.GetRelativePath(core, f).StartsWith("obj", StringComparison.Ordinal))
                    .Select(f => CSharpSyntaxTree.ParseText(File.ReadAllText(f), path: f))],
            ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
                .Where(p => Path.GetFileName(p).StartsWith("System.", StringComparison.Ordinal))
                .Select(p => MetadataReference.CreateFromFile(p)),
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary));
    }

    /// <summary>The folder of a file of Core; empty where it lies at the top.</summary>
    private static string Folder(SyntaxTree tree) => tree.FilePath.Length == 0 ? ""
        : Path.GetDirectoryName(Path.GetRelativePath(Path.Combine(Document.Root, "src", "RedisFailover.Core"), tree.FilePath))!;

    private static IEnumerable<string> References(Assembly assembly) => assembly.GetReferencedAssemblies().Select(a => a.Name!);

    private static IEnumerable<string> Ours(Assembly assembly)
        => References(assembly)
            .Where(r
                => r.StartsWith("RedisFailover", StringComparison.Ordinal) || r.StartsWith("redis-failover", StringComparison.Ordinal));
}
