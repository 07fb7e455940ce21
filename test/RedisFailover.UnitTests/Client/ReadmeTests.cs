using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using NUnit.Framework;

namespace RedisFailover.UnitTests.Client;

[TestFixture]
public sealed class ReadmeTests
{
    private const string ImplicitUsings = "global using System; global using System.Collections.Generic; global using System.Linq; global using System.Threading; global using System.Threading.Tasks;";

    [TestCase("Client", 10)]
    [TestCase("ZooKeeper client", 15)]
    public void The_program_that_a_section_begins_with_compiles_as_it_stands(string title, int lines)
    {
        string readme = File.ReadAllText(Path.Combine(Root(), "README.md"));
        string section = readme[readme.IndexOf($"\n## {title}\n", StringComparison.Ordinal)..];
        string program = section.Split("```csharp\n")[1].Split("```")[0];
        Assert.That(program.Split('\n').Count(line => line.Length > 0 && !line.StartsWith("using ", StringComparison.Ordinal)), Is.LessThanOrEqualTo(lines));
        string[] assemblies = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator);
        CSharpCompilation compilation = CSharpCompilation.Create(
            "readme",
            [CSharpSyntaxTree.ParseText(ImplicitUsings), CSharpSyntaxTree.ParseText(program)],
            [.. assemblies.Select(path => MetadataReference.CreateFromFile(path))],
            new CSharpCompilationOptions(OutputKind.ConsoleApplication));
        Assert.That(compilation.GetDiagnostics().Where(diagnostic => diagnostic.Severity == DiagnosticSeverity.Error), Is.Empty);
    }

    private static string Root()
    {
        DirectoryInfo folder = new(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "redis-failover-zk.sln")))
        {
            folder = folder.Parent!;
        }

        return folder.FullName;
    }
}
