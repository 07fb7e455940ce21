using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Text;
using NUnit.Framework;
using RedisFailover.Client.Generator;

namespace RedisFailover.UnitTests.Client;

/// <summary>What the facade's generator makes of an interface and a routing table.</summary>
[TestFixture]
public sealed class GeneratorTests
{
    private const string Interface = """
        namespace StackExchange.Redis
        {
            public enum CommandFlags { None }
            public interface IDatabaseAsync
            {
                System.Threading.Tasks.Task<string> ThingGetAsync(string key, CommandFlags flags = CommandFlags.None);
                System.Threading.Tasks.Task ThingSetAsync(string key, int value, CommandFlags flags = CommandFlags.None);
            }
            public interface IDatabase : IDatabaseAsync
            {
                string ThingGet(string key, CommandFlags flags = CommandFlags.None);
                void ThingSet(string key, int value, CommandFlags flags = CommandFlags.None);
                System.Collections.Generic.IEnumerable<string> ThingScan(string key, CommandFlags flags = CommandFlags.None);
                int ByHand();
                MORE
            }
        }
        """;

    private const string Facade = """
        namespace RedisFailover.Client
        {
            using System.Threading.Tasks;
            using StackExchange.Redis;
            [System.AttributeUsage(System.AttributeTargets.Class)]
            class GenerateFacadeAttribute : System.Attribute { public GenerateFacadeAttribute(FacadeKind kind) { } }
            enum FacadeKind { Calls, Queue, Server }
            enum CommandClass { Write, Read, Either }
            struct Nothing { public static Task<Nothing> After(Task task) => null; }
            interface ICall<T> { Task<T> SendAsync(IDatabaseAsync target, CommandFlags flags); }
            partial class RoutingTable { private static partial (CommandClass Class, string Member, string[] Commands)[] Rows(); }
            struct BlockingCall { public CommandFlags Flags; public IDatabase Target(int db) => null; public T Again<T>(System.Exception failure, int db, System.Func<IDatabase, CommandFlags, T> send) => default; }
            [GenerateFacade(FacadeKind.Calls)]
            sealed partial class Facade : IDatabase
            {
                int _db;
                int IDatabase.ByHand() => 1;
                BlockingCall Blocking(CommandClass kind, CommandFlags flags) => default;
                Task<T> RunAsync<TCall, T>(TCall call, CommandClass kind, CommandFlags flags) where TCall : struct, ICall<T> => null;
                IDatabase Direct(CommandClass kind, ref CommandFlags flags, out object node) { node = null; return this; }
            }
            static class Scan { public static T Of<T>(T scanned, object node) => scanned; }
        }
        """;

    private const string Table = """
        # class member commands
        read ThingGet TGET
        read ThingScan TSCAN TNEXT   # two of them
        write ThingLater
        """;

    [Test]
    public void Each_member_is_emitted_once_with_its_class_and_what_is_emitted_compiles()
    {
        (Compilation compiled, ImmutableArray<Diagnostic> reported, string facade) = Generate(Interface.Replace("MORE", ""), Table);
        Assert.That(reported, Is.Empty);
        Assert.That(compiled.GetDiagnostics().Where(diagnostic => diagnostic.Severity == DiagnosticSeverity.Error), Is.Empty);
        Assert.Multiple(() =>
        {
            Assert.That(facade,
                Does.Contain("RunAsync<ThingGetAsyncCall1, string>(new ThingGetAsyncCall1(@key, @flags), CommandClass.Read, @flags)"),
                    "listed, with its Async form");
            Assert.That(facade,
                Does.Contain(
                    "RunAsync<ThingSetAsyncCall1, Nothing>(new ThingSetAsyncCall1(@key, @value, @flags), CommandClass.Write, @flags)"),
                        "not listed: a write");
            Assert.That(facade,
                Does.Contain("var call = Blocking(CommandClass.Read, @flags);").And.Contain("return target.ThingGet(@key, call.Flags);"));
            Assert.That(facade,
                Does.Contain("Direct(CommandClass.Read, ref @flags, out var node)")
                    .And.Contain("Scan.Of(target.ThingScan(@key, @flags), node)"), "a scan stays on one node");
            Assert.That(facade, Does.Not.Contain("ByHand"));
            Assert.That(facade.Split("IDatabase.ThingSet(").Length - 1, Is.EqualTo(1));
            Assert.That(compiled.SyntaxTrees.Last().ToString(), Does.Contain("(CommandClass.Read, \"ThingScan\", [\"TSCAN\", \"TNEXT\"])")
                .And.Contain("(CommandClass.Write, \"ThingLater\", [])"));
        });
    }

    [Test]
    public void A_property_that_nobody_wrote_by_hand_is_an_error()
        => Assert.That(Generate(Interface.Replace("MORE", "int Number { get; }"), Table).Reported.Select(diagnostic => diagnostic.Id),
            Is.EqualTo(new[] { "RFG001" }));

    [Test]
    public void A_member_that_hands_out_an_object_of_the_library_is_an_error()
        => Assert.That(Generate(Interface.Replace("MORE", "IDatabaseAsync ThingTransaction();"), Table).Reported.Select(d => d.Id),
            Is.EqualTo(new[] { "RFG001" }));

    [Test]
    public void A_wrong_line_of_the_table_is_an_error_that_quotes_it()
    {
        Diagnostic wrong = Generate(Interface.Replace("MORE", ""), Table + "\nreads ThingGet TGET").Reported.Single();
        Assert.That(wrong.Id, Is.EqualTo("RFG002"));
        Assert.That(wrong.GetMessage(), Does.Contain("'reads ThingGet TGET'"));
    }

    private static (Compilation Compiled, ImmutableArray<Diagnostic> Reported, string Facade) Generate(string contract, string table)
    {
        CSharpParseOptions parse = new(LanguageVersion.Preview);
        string runtime = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        CSharpCompilation compilation = CSharpCompilation.Create(
            "sample",
            [CSharpSyntaxTree.ParseText(contract, parse), CSharpSyntaxTree.ParseText(Facade, parse)],
            [MetadataReference.CreateFromFile(typeof(object).Assembly.Location),
                MetadataReference.CreateFromFile(Path.Combine(runtime, "System.Runtime.dll"))],
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary));
        GeneratorDriver driver = CSharpGeneratorDriver.Create([new FacadeGenerator().AsSourceGenerator()], [new TableFile(table)], parse)
            .RunGeneratorsAndUpdateCompilation(compilation, out Compilation compiled, out ImmutableArray<Diagnostic> reported);
        string facade = driver.GetRunResult().GeneratedTrees.Single(tree => tree.FilePath.EndsWith("Facade.g.cs", StringComparison.Ordinal))
            .ToString();
        return (compiled, reported, facade);
    }

    private sealed class TableFile(string text) : AdditionalText
    {
        public override string Path => "routing.txt";

        public override SourceText GetText(CancellationToken cancellationToken = default) => SourceText.From(text);
    }
}
