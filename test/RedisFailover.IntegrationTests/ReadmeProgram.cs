using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests;

/// <summary>The program that a document begins with, to be run as a process of its own.</summary>
internal static class ReadmeProgram
{
    private const string Usings = "global using System; global using System.Threading.Tasks;";

    /// <summary>Returns the assembly, with what it needs beside it.</summary>
    public static string Compile(TemporaryDirectory folder, string document, string shown, string connection)
    {
        string text = File.ReadAllText(Path.Combine(Programs.RepositoryRoot, document));
        string program = text.Split("```csharp\n")[1].Split("```")[0].Replace(shown, connection, StringComparison.Ordinal);
        Assert.That(program, Does.Contain(connection));
        string[] assemblies = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator);
        CSharpCompilation compilation = CSharpCompilation.Create(
            "readme",
            [CSharpSyntaxTree.ParseText(Usings), CSharpSyntaxTree.ParseText(program)],
            [.. assemblies.Select(path => MetadataReference.CreateFromFile(path))],
            new CSharpCompilationOptions(OutputKind.ConsoleApplication));
        string assembly = folder.File("readme.dll");
        Assert.That(compilation.Emit(assembly).Diagnostics.Where(d => d.Severity == DiagnosticSeverity.Error), Is.Empty);

        // Without a list of its dependencies it finds .NET's own and whatever lies beside it.
        string dotnet = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        foreach (string needed in assemblies.Where(path => Path.GetDirectoryName(path) != dotnet))
        {
            File.Copy(needed, folder.File(Path.GetFileName(needed)));
        }

        File.WriteAllText(
            folder.File("readme.runtimeconfig.json"),
            $$$"""{"runtimeOptions":{"framework":{"name":"Microsoft.NETCore.App","version":"{{{Environment.Version}}}" } } }""");
        return assembly;
    }
}
