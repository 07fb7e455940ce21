using System.Runtime.CompilerServices;
using NUnit.Framework;

namespace RedisFailover.UnitTests.Scenarios;

/// <summary>
/// The golden failovers: each file is a play with its outcome. After a change of the decider run with UPDATE_SCENARIOS=1, which
/// rewrites the outcomes, and review the difference as text.
/// </summary>
[TestFixture]
public sealed class ScenarioTests
{
    private static IEnumerable<TestCaseData> Files()
        => Directory.GetFiles(Folder(), "*.scenario", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
            .Select(f => new TestCaseData(f) { TestName = Path.ChangeExtension(Path.GetRelativePath(Folder(), f), null) });

    [TestCaseSource(nameof(Files))]
    public void Goes_as_written(string file)
    {
        string written = File.ReadAllText(file);
        string played = Scenario.Play(written);
        if (Environment.GetEnvironmentVariable("UPDATE_SCENARIOS") == "1")
        {
            File.WriteAllText(file, played);
        }

        Assert.That(played, Is.EqualTo(written));
    }

    [Test]
    public void Each_says_first_what_it_shows()
        => Assert.That(Files().Select(f => File.ReadLines((string)f.Arguments[0]!).First()),
            Has.All.StartsWith("# ").And.All.EndsWith("."));

    [Test]
    public void There_are_scenarios() => Assert.That(Files().Count(), Is.GreaterThanOrEqualTo(100));

    private static string Folder([CallerFilePath] string source = "") => Path.GetDirectoryName(source)!;
}
