using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;
using static RedisFailover.IntegrationTests.ZooKeeper.RealServer;

namespace RedisFailover.IntegrationTests.ZooKeeper;

/// <summary>The program of README's section "ZooKeeper client", compiled and run as a process of its own against the real server.</summary>
[TestFixture]
public sealed class ReadmeProgramTests
{
    private const string Usings = "global using System; global using System.Threading.Tasks;";

    [Test]
    public async Task Case_25_the_program_of_the_README_leads_and_after_it_was_stopped_for_longer_than_its_session_it_writes_no_more()
    {
        string root = FreshRoot();
        using var folder = new TemporaryDirectory("readme");
        await using ChildProcess program = await ChildProcess.StartAsync(
            new ChildProcessOptions("README's program", Programs.Dotnet, [Compile(folder, Server.ConnectionString + root)])
            {
                Environment = ImmutableDictionary<string, string?>.Empty.Add("DOTNET_EnableDiagnostics", "0"),
            });
        await program.WaitForLineAsync(line => line == "1", Deadline);

        await using var client = new ZooKeeperClient(Options(Server.ConnectionString + root));
        Task<Leadership> electing = FaultTests.Election(client, "next").CampaignAsync();
        program.Freeze();
        await using Leadership next = await electing.WaitAsync(Deadline);
        await next.CommitAsync([ZnodeOperation.SetData("/settings", Bytes("written by the next leader"))]);
        program.Thaw();
        int exitCode = await program.WaitForExitAsync().WaitAsync(Deadline);

        Znode settings = await (await client.GetSessionAsync()).GetDataAsync("/settings");
        Assert.That(Text(settings), Is.EqualTo("written by the next leader"));
        TestContext.Out.WriteLine($"Exit code {exitCode}, having printed {string.Join(' ', program.Output)}");
        Assert.That(next.Lease.IsHeld, Is.True);
    }

    /// <summary>Returns the assembly, with what it needs beside it.</summary>
    private static string Compile(TemporaryDirectory folder, string connection)
    {
        string readme = File.ReadAllText(Path.Combine(Programs.RepositoryRoot, "README.md"));
        string section = readme[readme.IndexOf("\n## ZooKeeper client\n", StringComparison.Ordinal)..];
        string program = section.Split("```csharp\n")[1].Split("```")[0].Replace("zk1:2181,zk2:2181,zk3:2181/app", connection, StringComparison.Ordinal);
        Assert.That(program, Does.Contain(connection));
        string[] assemblies = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator);
        CSharpCompilation compilation = CSharpCompilation.Create(
            "readme",
            [CSharpSyntaxTree.ParseText(Usings), CSharpSyntaxTree.ParseText(program)],
            [.. assemblies.Select(path => MetadataReference.CreateFromFile(path))],
            new CSharpCompilationOptions(OutputKind.ConsoleApplication));
        string assembly = folder.File("readme.dll");
        Assert.That(compilation.Emit(assembly).Diagnostics.Where(d => d.Severity == DiagnosticSeverity.Error), Is.Empty);
        foreach (string needed in assemblies.Where(path => Path.GetFileName(path) is "RedisFailover.ZooKeeper.dll" or "Microsoft.Extensions.Logging.Abstractions.dll"
            or "Microsoft.Extensions.DependencyInjection.Abstractions.dll"))
        {
            File.Copy(needed, folder.File(Path.GetFileName(needed)));
        }

        File.WriteAllText(
            folder.File("readme.runtimeconfig.json"),
            $$$"""{"runtimeOptions":{"framework":{"name":"Microsoft.NETCore.App","version":"{{{Environment.Version}}}" } } }""");
        return assembly;
    }
}
