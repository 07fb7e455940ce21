using System.Collections.Immutable;
using System.IO.Compression;
using NUnit.Framework;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Packaging;

/// <summary>What somebody gets who takes the packages and has nothing of this repository.</summary>
[TestFixture]
public sealed class PackageTests
{
    private static readonly string[] Libraries = ["Core", "ZooKeeper", "Client", "Client.Extensions"];

    /// <summary>Everything that a package needs beside our own comes from where this build's came from: no registry is asked.</summary>
    private static readonly string Packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES")
        ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");

    private TemporaryDirectory _folder = null!;

    [OneTimeSetUp]
    public async Task Pack()
    {
        _folder = new TemporaryDirectory("packages");
        foreach (string project in Libraries.Append("Cli"))
        {
            string path = Path.Combine(Programs.RepositoryRoot, "src", "RedisFailover." + project);
            await DotnetAsync("pack", path, "--no-build", "-c", "Release", "-o", _folder.File("feed"), "-v", "quiet");
        }
    }

    [OneTimeTearDown]
    public void Remove() => _folder.Dispose();

    [Test]
    public void Each_has_its_README_licence_documentation_and_symbols() => Assert.Multiple(() =>
    {
        foreach (string package in Libraries.Select(name => "RedisFailover." + name))
        {
            string file = Directory.GetFiles(_folder.File("feed"), package + ".*.nupkg")
                .Single(path => char.IsAsciiDigit(Path.GetFileName(path)[package.Length + 1]));
            using ZipArchive archive = ZipFile.OpenRead(file);
            string[] entries = [.. archive.Entries.Select(entry => entry.FullName)];
            Assert.That(entries, Does.Contain("README.md").And.Contain("LICENSE"), package);
            foreach (string framework in new[] { "net8.0", "net10.0" })
            {
                Assert.That(entries, Does.Contain($"lib/{framework}/{package}.dll").And.Contain($"lib/{framework}/{package}.xml"), package);
            }

            Assert.That(File.Exists(Path.ChangeExtension(file, "snupkg")), Is.True, package);
        }
    });

    [Test]
    public async Task No_README_in_a_package_links_to_a_page_that_is_not_in_it()
    {
        string[] files = Directory.GetFiles(_folder.File("feed"), "*.nupkg");
        Assert.That(files, Has.Length.EqualTo(Libraries.Length + 1));
        foreach (string file in files)
        {
            await using ZipArchive archive = await ZipFile.OpenReadAsync(file);
            using var page = new StreamReader(await archive.GetEntry("README.md")!.OpenAsync());
            string text = await page.ReadToEndAsync();
            Assert.That(text, Does.Contain("```").And.Not.Match(@"\]\((?!https?:)"), file);
        }
    }

    [Test]
    public async Task The_client_asks_for_the_minor_version_of_its_library_that_it_was_built_for()
    {
        string file = Directory.GetFiles(_folder.File("feed"), "RedisFailover.Client.0.*.nupkg").Single();
        await using ZipArchive archive = await ZipFile.OpenReadAsync(file);
        using var specification = new StreamReader(await archive.GetEntry("RedisFailover.Client.nuspec")!.OpenAsync());

        Assert.That(await specification.ReadToEndAsync(), Does.Contain("id=\"StackExchange.Redis\" version=\"[3.4.35, 3.5.0)\""));
    }

    /// <summary>Minutes on a slow machine; what is not fit for it the compiler finds in every build (IsAotCompatible).</summary>
    [Test]
    [Category("Nightly")]
    [Explicit("Takes a minute of both cores")]
    public async Task An_application_can_be_compiled_to_native_code()
    {
        if (!new[] { "clang", "gcc" }.Any(linker => File.Exists("/usr/bin/" + linker)))
        {
            Assert.Ignore("needs clang or gcc, to link");
        }

        await DotnetAsync(
            "publish", Path.Combine(Programs.RepositoryRoot, "src", "Samples", "Aot"), "-c", "Release", "--use-current-runtime",
            "-o", _folder.File("native"), "-v", "quiet");
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1, Redis = 2 });
        await cluster.WaitForAsync("there is a master", topology => topology.Master is not null);
        await using ChildProcess program = await ChildProcess.StartAsync(
            new ChildProcessOptions(
                "native", Path.Combine(_folder.File("native"), "RedisFailover.Samples.Aot"), [cluster.ConnectionString]));

        Assert.That(await program.WaitForExitAsync(), Is.Zero, program.Tail());
        Assert.That(program.Output, Is.EqualTo(new[] { "hello", "5" }));
    }

    [Test]
    public Task An_empty_project_that_takes_the_client_runs_the_program_of_its_document()
        => RunTheProgramAsync("<TargetFramework>net10.0</TargetFramework>", WriteSourcesAsync);

    /// <summary>With the runtime beside it, which Debian does not have: it is a package of the registry's.</summary>
    [Test]
    [Category("Nightly")]
    [Explicit("Fetches the runtime of .NET 8")]
    public Task And_on_NET_8() => RunTheProgramAsync(
        """
        <TargetFramework>net8.0</TargetFramework><SelfContained>true</SelfContained>
        <RuntimeIdentifier>linux-x64</RuntimeIdentifier><InvariantGlobalization>true</InvariantGlobalization>
        """,
        project => File.WriteAllTextAsync(Path.Combine(project, "nuget.config"), $"""
            <configuration><packageSources><add key="ours" value="{_folder.File("feed")}" /></packageSources></configuration>
            """));

    private async Task RunTheProgramAsync(string framework, Func<string, Task> writeSources)
    {
        await using Cluster cluster = await Cluster.StartAsync(new ClusterOptions { Monitors = 1, Redis = 2 });
        await cluster.WaitForAsync("there is a master", topology => topology.Master is not null);
        string text = await File.ReadAllTextAsync(Path.Combine(Programs.RepositoryRoot, "docs", "client.md"));
        string program = text.Split("```csharp\n")[1].Split("```")[0]
            .Replace("127.0.0.1:2181/redis_failover", cluster.ConnectionString, StringComparison.Ordinal);
        string project = _folder.File("application-" + TestContext.CurrentContext.Test.MethodName);
        Directory.CreateDirectory(project);
        await File.WriteAllTextAsync(
            Path.Combine(project, "Program.cs"), program + "Console.WriteLine(Environment.Version.Major);\n");
        await File.WriteAllTextAsync(Path.Combine(project, "application.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>{framework}
                <ImplicitUsings>enable</ImplicitUsings><NuGetAudit>false</NuGetAudit>
              </PropertyGroup>
              <ItemGroup><PackageReference Include="RedisFailover.Client" Version="*" /></ItemGroup>
            </Project>
            """);
        await writeSources(project);

        string built = Path.Combine(project, "built");
        await DotnetAsync("build", project, "-c", "Release", "-v", "quiet", "-o", built);
        bool onEight = framework.Contains("net8.0", StringComparison.Ordinal);
        await using ChildProcess application = await ChildProcess.StartAsync(
            onEight ? new ChildProcessOptions("application", Path.Combine(built, "application"), [])
                : new ChildProcessOptions("application", Programs.Dotnet, [Path.Combine(built, "application.dll")]));
        Assert.That(await application.WaitForExitAsync(), Is.Zero, application.Tail(60));

        // What it is told of the topology it prints in between.
        Assert.That(application.Output, Has.Member("hello").And.Member(onEight ? "8" : "10"));
    }

    [Test]
    public async Task The_tool_can_be_installed()
    {
        await WriteSourcesAsync(_folder.File("feed"));
        await DotnetAsync(
            "tool", "install", "RedisFailover.Cli", "--tool-path", _folder.File("tools"),
            "--configfile", Path.Combine(_folder.File("feed"), "nuget.config"));
        await using ChildProcess tool = await ChildProcess.StartAsync(
            new ChildProcessOptions("redis-failover", Path.Combine(_folder.File("tools"), "redis-failover"), ["--version"]));

        Assert.That(await tool.WaitForExitAsync(), Is.Zero, tool.Tail());
        Assert.That(tool.Output[^1], Does.StartWith("0.2."));
    }

    private Task WriteSourcesAsync(string project) => File.WriteAllTextAsync(Path.Combine(project, "nuget.config"), $"""
        <configuration>
          <packageSources><clear /><add key="ours" value="{_folder.File("feed")}" /><add key="others" value="{Packages}" /></packageSources>
          <fallbackPackageFolders><clear /></fallbackPackageFolders>
        </configuration>
        """);

    /// <summary>With a package folder of its own: the one of this user must not remember a package of today under its version.</summary>
    private async Task<string> DotnetAsync(params string[] arguments)
    {
        await using ChildProcess process = await ChildProcess.StartAsync(
            new ChildProcessOptions("dotnet " + arguments[0], Programs.Dotnet, [.. arguments])
            {
                Environment = ImmutableDictionary<string, string?>.Empty
                    .Add("NUGET_PACKAGES", arguments[0] is "pack" or "publish" ? Packages : _folder.File("restored"))
                    .Add("DOTNET_EnableDiagnostics", "0").Add("DOTNET_CLI_HOME", _folder.File("home"))
                    .Add("MSBUILDDISABLENODEREUSE", "1").Add("UseSharedCompilation", "false"),
            });
        Assert.That(await process.WaitForExitAsync(), Is.Zero, process.Tail(60));
        return string.Join('\n', process.Output);
    }
}
